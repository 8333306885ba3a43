"""ONNX Runtime as a peer of the benchmark. usage: onnxruntime_worker.py THREADS

A layer is a network of one node, the channels-last QLinearConv that ONNX Runtime's own optimizer puts in place of the
standard one; inputs and outputs are bound beforehand. The time of a layer is that of a whole run, or that of the node
alone according to the profiler, whichever is less. There is no transposed convolution on integers.
"""

import json
import os
import statistics
import sys
import tempfile

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from worker import REPEAT_SECONDS, Layer, Unsupported, seconds_of, serve, time_calls

DOMAIN = "com.microsoft"


def network(layer: Layer) -> bytes:
    random = np.random.default_rng(7)
    weight_shape = [layer.out_channels, layer.in_channels // layer.groups, *layer.kernel]
    constants = {
        "x_scale": np.float32(0.02),
        "x_zero_point": np.uint8(12),
        "w": random.integers(-128, 128, weight_shape, dtype=np.int8),
        "w_scale": random.uniform(0.001, 0.01, layer.out_channels).astype(np.float32),
        "w_zero_point": np.zeros(layer.out_channels, np.int8),
        "y_scale": np.float32(0.5),
        "y_zero_point": np.uint8(100),
        "bias": random.integers(-1000, 1000, layer.out_channels, dtype=np.int32),
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        domain=DOMAIN,
        channels_last=1,
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding + layer.padding,
        dilations=layer.dilation,
        group=layer.groups,
    )
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [layer.batch, *layer.input, layer.in_channels])
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, [layer.batch, *layer.output, layer.out_channels])
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([node], "layer", [x], [y], values)
    imports = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


class Runner:
    def __init__(self, layer: Layer, threads: int, profile: str = ""):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        self.session = onnxruntime.InferenceSession(network(layer), options, providers=["CPUExecutionProvider"])
        shape = [layer.batch, *layer.input, layer.in_channels]
        x = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
        y = np.zeros([layer.batch, *layer.output, layer.out_channels], np.uint8)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        self.binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(y))

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)


def node_us(layer: Layer, threads: int, run_us: float) -> float:
    """What the profiler says that the node takes, over about two repeats."""
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(layer, threads, os.path.join(folder, "profile"))
        seconds_of(runner.run, 3 + min(5000, int(2e6 * REPEAT_SECONDS / run_us)))
        with open(runner.session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
    return statistics.median(e["dur"] for e in events if e.get("name", "").endswith("_kernel_time"))


def measure(layer: Layer, threads: int) -> tuple[str, float, float]:
    if layer.transposed:
        raise Unsupported("no transposed convolution on integers")
    median_us, min_us = time_calls(Runner(layer, threads).run)
    by_profiler = node_us(layer, threads, min_us)
    if 0 < by_profiler < min_us:
        return "QLinearConv/node", by_profiler, by_profiler
    return "QLinearConv/run", median_us, min_us


def main() -> None:
    threads = int(sys.argv[1])
    serve(onnxruntime.__version__, lambda layer: measure(layer, threads))


if __name__ == "__main__":
    main()
