"""A turn of OpenVINO."""

from __future__ import annotations

import time
from collections.abc import Callable

import turn

start = time.perf_counter()
import numpy as np  # noqa: E402
import openvino  # noqa: E402

imported = time.perf_counter() - start
how = turn.arguments("--unpinned")
data = np.load(how.input)


def load() -> Callable[[], object]:
    core = openvino.Core()
    model = core.read_model(how.network)
    model.reshape(data.shape)  # kernels for these sizes and no others
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": how.threads}
    if how.unpinned:
        settings["ENABLE_CPU_PINNING"] = False
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([data], share_inputs=True, share_outputs=True)[0]


turn.take(how, openvino.__version__.split("-")[0], imported, load, np.array)
