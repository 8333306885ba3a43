"""ONNX Runtime beside qconv, on the same files."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as binding

# ONNX Runtime has a class per status and none above them.
Error = tuple(c for c in vars(binding).values() if isinstance(c, type) and issubclass(c, Exception))
Level = onnxruntime.GraphOptimizationLevel


def session(network: Path, threads: int, optimize: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Without optimizations it is the plain definition of QDQ: float operations between roundings.
    options.graph_optimization_level = Level.ORT_ENABLE_ALL if optimize else Level.ORT_DISABLE_ALL
    # A thread that waits for more work must not take a core from the program that is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


def outputs(network: onnxruntime.InferenceSession, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs one sample at a time, so that memory stays that of one."""
    names = [output.name for output in network.get_outputs()]
    results = [network.run(names, {"input": images[i : i + 1]}) for i in range(len(images))]
    return {name: np.concatenate([result[i] for result in results]) for i, name in enumerate(names)}


def seconds(network: onnxruntime.InferenceSession, image: np.ndarray, repeat: int) -> float:
    times = []
    network.run(None, {"input": image})
    for _ in range(repeat):
        start = time.perf_counter()
        network.run(None, {"input": image})
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def output_scales(network: Path) -> dict[str, float]:
    """The scale of each output that a DequantizeLinear makes, looking through what only moves elements."""
    model = onnx.load(network)
    constants = {i.name: i for i in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    scales = {}
    for output in model.graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice"):
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "DequantizeLinear":
            scales[output.name] = float(onnx.numpy_helper.to_array(constants[node.input[1]]))
    return scales
