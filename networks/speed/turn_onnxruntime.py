"""A turn of ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Callable

import turn

start = time.perf_counter()
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

imported = time.perf_counter() - start
how = turn.arguments("--fixed")
data = np.load(how.input)


def load() -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = how.threads
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if how.fixed:
        options.add_free_dimension_override_by_name("batch", len(data))
        for name, size in zip(("frames",) if data.ndim == 5 else ("height", "width"), data.shape[2:], strict=False):
            options.add_free_dimension_override_by_name(name, size)
        options.add_session_config_entry("session.enable_quant_qdq_cleanup", "1")
    session = onnxruntime.InferenceSession(str(how.network), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: data}
    return lambda: session.run(None, inputs)[0]


turn.take(how, onnxruntime.__version__, imported, load, lambda result: result)
