"""A turn of PyTorch, with a program that prepare.py made by its graph mode."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import turn

warnings.simplefilter("ignore")  # torch.jit is deprecated, and says so
start = time.perf_counter()
import numpy as np  # noqa: E402
import torch  # noqa: E402

imported = time.perf_counter() - start
how = turn.arguments("--engine")
torch.set_num_threads(how.threads)
torch.backends.quantized.engine = how.engine
order = torch.channels_last_3d if np.load(how.input, mmap_mode="r").ndim == 5 else torch.channels_last
data = torch.from_numpy(np.load(how.input)).contiguous(memory_format=order)


def load() -> Callable[[], object]:
    program = torch.jit.load(how.network).eval()

    def run() -> object:
        with torch.inference_mode():
            return program(data)

    return run


turn.take(how, torch.__version__.split("+")[0], imported, load, lambda result: result.numpy())
