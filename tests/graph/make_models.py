"""Write the small ONNX models of the network tests, and beside each what onnxruntime computes with it.

    /path/to/python tests/graph/make_models.py      (needs numpy, onnx, onnxruntime; torch for the torch_* models)

Every model NAME.onnx has its inputs as in0, in1, ... and the expected outputs as out0, out1, ... in NAME.npz. Models
that are called qdq_* hold integer operations: one step of the last scale may differ there, because onnxruntime rounds
elsewhere. `step` in their npz is that scale. The small versions of real networks are small_networks.py's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent / "models"
random = np.random.default_rng(20240501)


def floats(*shape: int) -> np.ndarray:
    return random.uniform(-1, 1, shape).astype(np.float32)


def ints(values, dtype=np.int64) -> np.ndarray:
    return np.array(values, dtype)


class Model:
    """Nodes and initializers as they are added; `save` runs and writes them."""

    def __init__(self, name: str, opset: int = 13) -> None:
        self.name, self.opset = name, opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.data: dict[str, np.ndarray] = {}
        self.counter = 0

    def input(self, value: np.ndarray, dims: list | None = None, name: str | None = None) -> str:
        name = name or f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims or list(value.shape)))
        self.data[name] = value
        return name

    def constant(self, value: np.ndarray) -> str:
        self.counter += 1
        name = f"c{self.counter}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes) -> str:
        self.counter += 1
        names = [f"v{self.counter}" + ("" if i == 0 else f"_{i}") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{self.counter}", domain=domain,
                                           **attributes))
        return names[0]

    def save(self, *outputs: str, step: float = 0.0, onnxruntime_runs: bool = True) -> None:
        graph = helper.make_graph(self.nodes, self.name, self.inputs,
                                  [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
                                  self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="qconv tests")
        model.ir_version = 8
        model = onnx.shape_inference.infer_shapes(model)
        path = HERE / f"{self.name}.onnx"
        options = onnxruntime.SessionOptions()
        # The plain definition of every operator, without fused kernels.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(list(outputs), self.data)
        for output, result in zip(model.graph.output, results):  # the checker wants a shape
            if not output.type.tensor_type.HasField("shape"):
                output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, result.shape))
        onnx.save(model, path)
        arrays = {f"in{i}": self.data[v.name] for i, v in enumerate(self.inputs)}
        arrays |= {f"out{i}": r for i, r in enumerate(results)}
        if step:
            arrays["step"] = np.array([step], np.float32)
        np.savez(HERE / f"{self.name}.npz", **arrays)
        if path.stat().st_size > 50_000:
            sys.exit(f"{path} is larger than 50 kB")


def convolutions() -> None:
    for name, x, w, attributes in [
        ("conv1d", (2, 3, 9), (4, 3, 3), dict(pads=[1, 1], strides=[2])),
        ("conv2d", (2, 3, 8, 9), (4, 3, 3, 3), dict(pads=[1, 0, 1, 2], strides=[1, 2])),
        ("conv2d_grouped", (1, 4, 7, 7), (6, 2, 3, 3), dict(group=2, dilations=[2, 1], pads=[2, 1, 2, 1])),
        ("conv2d_depthwise", (1, 4, 7, 7), (4, 1, 3, 3), dict(group=4, pads=[1, 1, 1, 1])),
        ("conv3d", (1, 2, 4, 5, 6), (3, 2, 2, 3, 3), dict(pads=[0, 1, 1, 1, 1, 1])),
        ("conv2d_same_upper", (1, 2, 7, 8), (3, 2, 3, 4), dict(auto_pad="SAME_UPPER", strides=[2, 3])),
        ("conv2d_same_lower", (1, 2, 7, 8), (3, 2, 4, 4), dict(auto_pad="SAME_LOWER")),
        ("conv2d_valid", (1, 2, 7, 8), (3, 2, 3, 3), dict(auto_pad="VALID")),
    ]:
        m = Model(name)
        out = m.node("Conv", m.input(floats(*x)), m.constant(floats(*w)), m.constant(floats(w[0])), **attributes)
        m.save(out)
    m = Model("conv2d_same_dynamic")
    x = m.input(floats(2, 2, 7, 10), ["N", 2, "H", "W"])
    m.save(m.node("Conv", x, m.constant(floats(3, 2, 3, 3)), auto_pad="SAME_UPPER", strides=[2, 2]))
    for name, x, w, attributes in [
        ("conv_transpose1d", (2, 3, 5), (3, 2, 4), dict(strides=[2], pads=[1, 1])),
        ("conv_transpose2d", (1, 4, 4, 5), (4, 3, 3, 3), dict(strides=[2, 2], pads=[1, 0, 1, 2], output_padding=[1, 0])),
        ("conv_transpose2d_grouped", (1, 4, 4, 4), (4, 3, 3, 3), dict(group=2, strides=[2, 1], dilations=[1, 2])),
        ("conv_transpose3d", (1, 2, 3, 3, 3), (2, 2, 2, 2, 2), dict(strides=[2, 2, 2])),
        ("conv_transpose2d_output_shape", (1, 2, 4, 4), (2, 3, 3, 3), dict(strides=[2, 2], output_shape=[8, 8])),
        ("conv_transpose2d_same", (1, 2, 4, 4), (2, 3, 4, 4), dict(strides=[2, 2], auto_pad="SAME_UPPER")),
    ]:
        m = Model(name)
        channels = w[1] * attributes.get("group", 1)
        out = m.node("ConvTranspose", m.input(floats(*x)), m.constant(floats(*w)), m.constant(floats(channels)), **attributes)
        m.save(out)


def batch_norm(m: Model, x: str, channels: int) -> str:
    parameters = [floats(channels) + 1.5, floats(channels), floats(channels), np.abs(floats(channels)) + 0.1]
    return m.node("BatchNormalization", x, *(m.constant(p) for p in parameters), epsilon=1e-3)


def networks() -> None:
    m = Model("batch_norm_alone")
    m.save(batch_norm(m, m.input(floats(2, 3, 4, 4)), 3))
    m = Model("residual")  # batch norm, ReLU, and the residual on the left of the Add
    x = m.input(floats(2, 3, 6, 6), ["N", 3, "H", "W"])
    first = m.node("Relu", batch_norm(m, m.node("Conv", x, m.constant(floats(4, 3, 3, 3)), pads=[1, 1, 1, 1]), 4))
    second = batch_norm(m, m.node("Conv", first, m.constant(floats(4, 4, 3, 3)), m.constant(floats(4)), pads=[1, 1, 1, 1]), 4)
    m.save(m.node("Relu", m.node("Add", first, second)))
    m = Model("residual_downsample")  # both operands are convolutions
    x = m.input(floats(1, 3, 6, 6))
    left = m.node("Conv", x, m.constant(floats(4, 3, 1, 1)), strides=[2, 2])
    right = m.node("Conv", x, m.constant(floats(4, 3, 3, 3)), pads=[1, 1, 1, 1], strides=[2, 2])
    m.save(m.node("Add", right, left))
    m = Model("transpose_batch_norm")  # ConvTranspose in groups, then BatchNormalization and Clip
    x = m.input(floats(1, 4, 3, 3))
    y = m.node("ConvTranspose", x, m.constant(floats(4, 3, 2, 2)), group=2, strides=[2, 2])
    m.save(m.node("Clip", batch_norm(m, y, 6), m.constant(np.float32(0)), m.constant(np.float32(0.6))))
    for mode, opset in [("reflect", 13), ("edge", 13), ("constant", 13), ("wrap", 19)]:
        m = Model(f"conv_pad_{mode}", opset)
        x = m.input(floats(1, 2, 6, 7), ["N", 2, "H", "W"])
        padded = m.node("Pad", x, m.constant(ints([0, 0, 1, 2, 0, 0, 2, 0])), mode=mode)
        m.save(m.node("Conv", padded, m.constant(floats(3, 2, 3, 3)), m.constant(floats(3))))
    m = Model("bias_add")  # Add of a constant per channel, MatMul + Add
    x = m.input(floats(2, 2, 5, 5), ["N", 2, 5, 5])
    y = m.node("Add", m.node("Conv", x, m.constant(floats(3, 2, 3, 3))), m.constant(floats(1, 3, 1, 1)))
    y = m.node("Flatten", m.node("Relu", y))
    y = m.node("Add", m.constant(floats(4)), m.node("MatMul", y, m.constant(floats(27, 4))))
    m.save(m.node("Softmax", y, axis=-1))
    m = Model("unet")  # pooling, ConvTranspose, Concat
    x = m.input(floats(1, 2, 8, 8), ["N", 2, "H", "W"])
    top = m.node("Relu", m.node("Conv", x, m.constant(floats(4, 2, 3, 3)), pads=[1, 1, 1, 1]))
    low = m.node("Relu", m.node("Conv", m.node("MaxPool", top, kernel_shape=[2, 2], strides=[2, 2]),
                                m.constant(floats(6, 4, 3, 3)), pads=[1, 1, 1, 1]))
    up = m.node("ConvTranspose", low, m.constant(floats(6, 3, 2, 2)), m.constant(floats(3)), strides=[2, 2])
    m.save(m.node("Conv", m.node("Concat", up, top, axis=1), m.constant(floats(2, 7, 1, 1)), m.constant(floats(2))))
    m = Model("two_inputs")
    a, b = m.input(floats(1, 2, 4, 4)), m.input(floats(1, 2, 4, 4))
    m.save(m.node("Add", a, b), m.node("Relu", a))


def operators() -> None:
    image = floats(2, 3, 7, 8)
    for name, op, attributes in [
        ("max_pool", "MaxPool", dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])),
        ("max_pool_ceil", "MaxPool", dict(kernel_shape=[2, 3], strides=[2, 3], ceil_mode=1)),
        ("max_pool_dilated", "MaxPool", dict(kernel_shape=[2, 2], dilations=[2, 3])),
        ("average_pool", "AveragePool", dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])),
        ("average_pool_include", "AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)),
        ("average_pool_same", "AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
        ("global_average_pool", "GlobalAveragePool", {}),
        ("flatten", "Flatten", dict(axis=2)),
        ("transpose", "Transpose", dict(perm=[0, 2, 3, 1])),
        ("reduce_mean", "ReduceMean", dict(axes=[2, 3], keepdims=0)),
        ("softmax", "Softmax", dict(axis=1)),
        ("relu", "Relu", {}),
    ]:
        m = Model(name)
        m.save(m.node(op, m.input(image), **attributes))
    m = Model("clip")
    m.save(m.node("Clip", m.input(image), "", m.constant(np.float32(0.25))))
    m = Model("reduce_mean_18", 18)
    m.save(m.node("ReduceMean", m.input(image), m.constant(ints([-1, -2]))))
    m = Model("add_broadcast")
    m.save(m.node("Add", m.input(image), m.input(floats(1, 3, 1, 8))))
    for trans_a, trans_b in [(0, 0), (1, 0), (0, 1)]:
        m = Model(f"gemm_{trans_a}{trans_b}")
        a = m.input(floats(5, 3) if trans_a else floats(3, 5))
        b = m.constant(floats(4, 5) if trans_b else floats(5, 4))
        m.save(m.node("Gemm", a, b, m.constant(floats(1, 4)), alpha=0.5, beta=2.0, transA=trans_a, transB=trans_b))
    m = Model("reshape_zero")
    m.save(m.node("Reshape", m.input(image, ["N", 3, 7, 8]), m.constant(ints([0, -1, 4]))))
    m = Model("reshape_by_shape")  # what torch writes for x.view(x.size(0), -1)
    x = m.input(image, ["N", "C", "H", "W"])
    batch = m.node("Unsqueeze", m.node("Gather", m.node("Shape", x), m.constant(ints(0)), axis=0), m.constant(ints([0])))
    m.save(m.node("Reshape", x, m.node("Concat", batch, m.constant(ints([-1])), axis=0)))
    m = Model("pad_arithmetic")  # what torch writes around Pad
    zeros = m.node("ConstantOfShape", m.constant(ints([4])), value=helper.make_tensor("v", TensorProto.INT64, [1], [0]))
    pads = m.node("Concat", m.constant(ints([1, 2, 0, 1])), zeros, axis=0)
    pads = m.node("Reshape", pads, m.constant(ints([-1, 2])))
    pads = m.node("Slice", pads, m.constant(ints([-1])), m.constant(ints([-9223372036854775807])), m.constant(ints([0])), m.constant(ints([-1])))
    pads = m.node("Cast", m.node("Reshape", m.node("Transpose", pads, perm=[1, 0]), m.constant(ints([-1]))), to=TensorProto.INT64)
    m.save(m.node("Pad", m.input(image), pads, m.constant(np.float32(0.5))))
    m = Model("pad_axes", 18)
    m.save(m.node("Pad", m.input(image), m.constant(ints([1, -2, 0, 3])), "", m.constant(ints([3, 2])), mode="edge"))
    m = Model("squeeze_identity")
    x = m.node("Dropout", m.node("Identity", m.input(image)))
    m.save(m.node("Unsqueeze", m.node("Squeeze", m.node("GlobalAveragePool", x), m.constant(ints([2, 3]))), m.constant(ints([1]))))
    m = Model("concat")
    m.save(m.node("Concat", m.input(image), m.input(floats(2, 3, 2, 8)), axis=-2))
    m = Model("size_arithmetic")  # resize to a size worked out from the input's
    x = m.input(image, ["N", 3, "H", "W"])
    sizes = m.node("Shape", x)
    spatial = m.node("Slice", sizes, m.constant(ints([2])), m.constant(ints([4])))
    spatial = m.node("Cast", m.node("Floor", m.node("Mul", m.node("Cast", spatial, to=1), m.constant(np.float32(1.5)))), to=7)
    sizes = m.node("Concat", m.node("Slice", sizes, m.constant(ints([0])), m.constant(ints([2]))), spatial, axis=0)
    m.save(m.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel"))
    for name, scales, attributes in [
        ("nearest", [1, 1, 2, 3], dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
        ("nearest_default", [1, 1, 0.6, 1.7], dict(mode="nearest")),
        ("linear", [1, 1, 2, 0.5], dict(mode="linear", coordinate_transformation_mode="pytorch_half_pixel")),
        ("linear_corners", [1, 1, 2.5, 2], dict(mode="linear", coordinate_transformation_mode="align_corners")),
        ("cubic", [1, 1, 2, 2], dict(mode="cubic", cubic_coeff_a=-0.75)),
    ]:
        m = Model(f"resize_{name}")
        m.save(m.node("Resize", m.input(image), "", m.constant(np.array(scales, np.float32)), **attributes))


def quantized() -> None:
    def q(m: Model, x: str, scale: float, zero: np.ndarray) -> str:
        return m.node("QuantizeLinear", x, m.constant(np.float32(scale)), m.constant(zero))

    def dq(m: Model, x: str, scale, zero: np.ndarray, **attributes) -> str:
        return m.node("DequantizeLinear", x, m.constant(np.array(scale, np.float32)), m.constant(zero), **attributes)

    def weight(m: Model, *shape: int, axis: int = 0, dtype=np.int8) -> tuple[str, np.ndarray]:
        info = np.iinfo(dtype)
        values = random.integers(info.min, info.max + 1, shape).astype(dtype)
        scales = random.uniform(0.004, 0.01, shape[axis]).astype(np.float32)
        return dq(m, m.constant(values), scales, np.zeros(shape[axis], dtype), axis=axis), scales

    for kind in (np.uint8, np.int8):
        name = kind.__name__
        zero = kind(120 if kind is np.uint8 else -8)
        m = Model(f"qdq_conv_{name}")  # int32 bias, per-channel weights, ReLU, then a second convolution with residual
        x = m.input(floats(1, 3, 6, 6), ["N", 3, "H", "W"])
        w, scales = weight(m, 4, 3, 3, 3)
        bias = dq(m, m.constant(random.integers(-500, 500, 4).astype(np.int32)), 0.01 * scales, np.zeros(4, np.int32), axis=0)
        x = dq(m, q(m, x, 0.01, zero), 0.01, zero)
        y = m.node("Relu", m.node("Conv", x, w, bias, pads=[1, 1, 1, 1]))
        y = dq(m, q(m, y, 0.05, kind(3)), 0.05, kind(3))
        w2, _ = weight(m, 4, 4, 1, 1)
        z = m.node("Relu", m.node("Add", y, m.node("Conv", y, w2)))
        m.save(dq(m, q(m, z, 0.1, kind(5)), 0.1, kind(5)), step=0.1)
        m = Model(f"qdq_mixed_{name}")  # everything else that has an integer form
        x = m.input(floats(1, 2, 8, 8))
        x = dq(m, q(m, x, 0.01, zero), 0.01, zero)
        a = m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        b = m.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        b = dq(m, q(m, b, 0.008, zero), 0.008, zero)
        c = m.node("Concat", a, b, axis=1)
        c = dq(m, q(m, c, 0.011, zero), 0.011, zero)
        w, _ = weight(m, 4, 2, 3, 3, axis=1)
        d = m.node("ConvTranspose", c, w, group=2, strides=[2, 2], pads=[1, 1, 0, 0])
        d = m.node("Clip", d, m.constant(np.float32(-0.5)), m.constant(np.float32(0.7)))
        d = dq(m, q(m, d, 0.02, zero), 0.02, zero)
        e = m.node("Resize", d, "", m.constant(np.array([1, 1, 0.5, 0.5], np.float32)), mode="nearest")
        g = m.node("GlobalAveragePool", e)
        g = dq(m, q(m, g, 0.004, zero), 0.004, zero)
        h = m.node("Reshape", g, m.constant(ints([0, -1])))
        fc, _ = weight(m, 5, 4)
        y = m.node("Gemm", h, fc, m.constant(floats(5)), transB=1)
        m.save(dq(m, q(m, y, 0.02, zero), 0.02, zero), step=0.04)

    m = Model("qlinear_conv")
    x = m.input(floats(2, 3, 5, 5))
    arguments = [q(m, x, 0.008, np.uint8(128)), m.constant(np.float32(0.008)), m.constant(np.uint8(128)),
                 m.constant(random.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)), m.constant(np.float32(0.01)),
                 m.constant(np.uint8(131)), m.constant(np.float32(0.06)), m.constant(np.uint8(100)),
                 m.constant(random.integers(-900, 900, 4).astype(np.int32))]
    y = m.node("QLinearConv", *arguments, pads=[1, 1, 1, 1])
    m.save(dq(m, y, 0.06, np.uint8(100)), step=0.06)


# How exporters write functions of one number.
def silu(m: Model, x: str) -> str:
    return m.node("Mul", x, m.node("Sigmoid", x))


def gelu(m: Model, x: str) -> str:
    half = m.node("Mul", x, m.constant(np.float32(0.5)))
    erf = m.node("Erf", m.node("Div", x, m.constant(np.float32(2**0.5))))
    return m.node("Mul", half, m.node("Add", erf, m.constant(np.float32(1))))


def gelu_tanh(m: Model, x: str) -> str:
    cube = m.node("Mul", m.constant(np.float32(0.044715)), m.node("Pow", x, m.constant(np.float32(3))))
    inner = m.node("Mul", m.node("Add", x, cube), m.constant(np.float32((2 / np.pi) ** 0.5)))
    half = m.node("Mul", x, m.constant(np.float32(0.5)))
    return m.node("Mul", half, m.node("Add", m.node("Tanh", inner), m.constant(np.float32(1))))


def hard_swish(m: Model, x: str) -> str:
    clip = m.node("Clip", m.node("Add", x, m.constant(np.float32(3))), m.constant(np.float32(0)), m.constant(np.float32(6)))
    return m.node("Div", m.node("Mul", x, clip), m.constant(np.float32(6)))


def functions() -> None:
    image = 4 * floats(2, 3, 4, 5)
    names = ["Abs", "Elu", "Erf", "Exp", "HardSigmoid", "LeakyRelu", "Neg", "Sigmoid", "Softplus", "Tanh"]
    m = Model("unary", 18)  # each on its own
    x = m.input(image, ["N", 3, "H", "W"])
    m.save(*(m.node(op, x) for op in names), m.node("Mish", x), m.node("HardSwish", x))
    m = Model("rounding")
    x = m.input(image)
    m.save(m.node("Ceil", x), m.node("Floor", x))
    m = Model("unary_attributes")
    x = m.input(image)
    m.save(m.node("Elu", x, alpha=0.5), m.node("LeakyRelu", x, alpha=0.2), m.node("HardSigmoid", x, alpha=0.3, beta=0.4))
    m = Model("unary_positive")
    x = m.input(np.abs(image) + np.float32(0.1))
    m.save(*(m.node(op, x) for op in ["Log", "Reciprocal", "Sqrt"]),
           *(m.node("Pow", x, m.constant(np.float32(p))) for p in (2, 0.5, -1.5)))
    m = Model("gelu_20", 20)
    x = m.input(image)
    m.save(m.node("Gelu", x), m.node("Gelu", x, approximate="tanh"))
    m = Model("unary_patterns")
    x = m.input(image)
    m.save(silu(m, x), gelu(m, x), gelu_tanh(m, x), hard_swish(m, x))
    m = Model("binary")
    a, b = m.input(np.abs(image) + np.float32(0.5)), m.input(floats(2, 3, 1, 1))
    m.save(*(m.node(op, a, b) for op in ["Mul", "Sub", "Pow", "Min", "Max"]), m.node("Div", b, a))
    m = Model("binary_constants")
    x = m.input(image, ["N", 3, "H", "W"])
    y = m.node("Sub", m.constant(floats(3, 1, 1)), m.node("Mul", x, m.constant(floats(1, 3, 1, 1))))
    z = m.node("Max", m.node("Div", y, m.constant(np.float32(3))), m.constant(floats(1, 1, 4, 5)))
    m.save(z, m.node("Add", m.node("Mul", m.node("Add", x, m.constant(np.float32(2))), m.constant(np.float32(3))),
                     m.constant(np.float32(-1))))
    m = Model("prelu")
    x = m.input(image)
    m.save(m.node("PRelu", x, m.constant(floats(3, 1, 1))), m.node("PRelu", x, m.constant(floats(1))))
    m = Model("rank_by_constant")  # a constant with more dimensions than what it is combined with
    x = m.input(floats(4))
    m.save(m.node("Mul", x, m.constant(np.full((1, 1, 1), 2, np.float32))),
           m.node("Mul", m.node("Mul", x, m.node("Sigmoid", x)), m.constant(np.ones((1, 1), np.float32))),
           m.node("Pow", x, m.constant(np.full((1, 1), 2, np.float32))))


def reductions() -> None:
    image = floats(2, 3, 4, 5)
    for name, opset, axes, keep in [("reduce_mean_last", 13, [-1], 1), ("reduce_mean_18_channel", 18, [1], 0),
                                    ("reduce_mean_all", 13, None, 0), ("reduce_mean_18_all", 18, None, 1)]:
        m = Model(name, opset)
        x = m.input(image)
        if opset < 18:
            m.save(m.node("ReduceMean", x, keepdims=keep, **(dict(axes=axes) if axes else {})))
        else:
            m.save(m.node("ReduceMean", x, *([m.constant(ints(axes))] if axes else []), keepdims=keep))
    m = Model("layer_norm", 17)
    x = m.input(image)
    m.save(m.node("LayerNormalization", x, m.constant(floats(5)), m.constant(floats(5)), axis=-1, epsilon=1e-3),
           m.node("LayerNormalization", x, m.constant(floats(5)), axis=3))
    m = Model("instance_norm")
    m.save(m.node("InstanceNormalization", m.input(image, ["N", 3, "H", "W"]), m.constant(floats(3)), m.constant(floats(3)),
                  epsilon=1e-3))
    m = Model("group_norm_18", 18)  # a scale per group
    m.save(m.node("GroupNormalization", m.input(floats(2, 4, 3, 3)), m.constant(floats(2)), m.constant(floats(2)),
                  num_groups=2, epsilon=1e-3))
    m = Model("group_norm_21", 21)  # a scale per channel
    m.save(m.node("GroupNormalization", m.input(floats(2, 4, 3, 3)), m.constant(floats(4)), m.constant(floats(4)), num_groups=2))
    m = Model("mean_and_wrap", 19)  # ReduceMean in a model of a late opset
    x = m.node("Pad", m.input(image), m.constant(ints([0, 0, 1, 1, 0, 0, 1, 1])), mode="wrap")
    m.save(m.node("ReduceMean", x, m.constant(ints([1]))), m.node("Mish", x))


def parts() -> None:
    image = floats(2, 6, 5, 7)

    def split(name: str, opset: int, x: np.ndarray, outputs: int, lengths: list | None, **attributes) -> None:
        m = Model(name, opset)
        inputs = [m.input(x)]
        if lengths and opset >= 13:
            inputs.append(m.constant(ints(lengths)))
        elif lengths:
            attributes["split"] = lengths
        m.node("Split", *inputs, outputs=outputs, **attributes)
        m.save(*m.nodes[-1].output)

    split("split_11", 11, image, 2, [2, 4], axis=1)
    split("split_13", 13, image, 3, [1, 2, 3], axis=1)
    split("split_equal", 13, image, 3, None, axis=-3)
    split("split_18", 18, image, 3, None, axis=3, num_outputs=3)  # 3, 3 and 1
    m = Model("shuffle")  # ShuffleNet: halves, channels interleaved
    x = m.input(image, ["N", 6, 5, 7])
    m.node("Split", x, outputs=2, axis=1)
    left, right = m.nodes[-1].output
    x = m.node("Concat", left, m.node("Relu", right), axis=1)
    x = m.node("Reshape", x, m.constant(ints([0, 2, 3, 5, 7])))
    x = m.node("Transpose", x, perm=[0, 2, 1, 3, 4])
    m.save(m.node("Reshape", x, m.constant(ints([0, 6, 5, 7]))))
    m = Model("slice")
    x = m.input(image, ["N", 6, "H", "W"])
    first = m.node("Slice", x, m.constant(ints([0, 1])), m.constant(ints([9223372036854775807, -1])), m.constant(ints([2, 3])),
                   m.constant(ints([2, 1])))
    second = m.node("Slice", x, m.constant(ints([-1])), m.constant(ints([-100])), m.constant(ints([1])), m.constant(ints([-2])))
    m.save(first, second, m.node("Slice", x, m.constant(ints([1])), m.constant(ints([3])), m.constant(ints([-3]))))
    m = Model("gather")
    x = m.input(image)
    m.save(m.node("Gather", x, m.constant(ints(0)), axis=1), m.node("Gather", x, m.constant(ints([-1, 2, 2])), axis=3))
    m = Model("expand")
    m.save(m.node("Expand", m.input(floats(2, 3, 1, 1)), m.constant(ints([1, 4, 5]))))


def blocks() -> None:
    """Parts of today's networks, small."""
    def conv(m: Model, x: str, out: int, inner: int, kernel: int = 1, **attributes) -> str:
        return m.node("Conv", x, m.constant(floats(out, inner, kernel, kernel)), m.constant(floats(out)), **attributes)

    m = Model("convnext", 17)
    x = m.input(floats(1, 4, 6, 6), ["N", 4, "H", "W"])
    y = conv(m, x, 4, 1, 3, group=4, pads=[1, 1, 1, 1])
    y = m.node("LayerNormalization", m.node("Transpose", y, perm=[0, 2, 3, 1]), m.constant(floats(4)), m.constant(floats(4)),
               axis=-1, epsilon=1e-6)
    y = m.node("Add", m.node("MatMul", y, m.constant(floats(4, 8))), m.constant(floats(8)))
    y = m.node("Add", m.constant(floats(4)), m.node("MatMul", gelu(m, y), m.constant(floats(8, 4))))
    y = m.node("Transpose", m.node("Mul", m.constant(floats(4)), y), perm=[0, 3, 1, 2])
    m.save(m.node("Add", x, y))
    m = Model("convnext_1d", 17)
    x = m.input(floats(2, 3, 6), ["N", 3, "L"])
    y = m.node("LayerNormalization", m.node("Transpose", x, perm=[0, 2, 1]), m.constant(floats(3)), m.constant(floats(3)))
    y = m.node("MatMul", y, m.constant(floats(3, 5)))
    m.save(m.node("Transpose", m.node("Relu", y), perm=[0, 2, 1]))
    m = Model("tokens", 17)  # Linear over three dimensions
    x = m.input(floats(2, 3, 4), ["N", 3, 4])
    y = m.node("LayerNormalization", x, m.constant(floats(4)), m.constant(floats(4)))
    y = m.node("Add", m.node("MatMul", y, m.constant(floats(4, 6))), m.constant(floats(6)))
    y = m.node("MatMul", m.node("Relu", y), m.constant(floats(6, 1)))
    m.save(m.node("Add", y, m.constant(floats(1))), m.node("ReduceMean", x, axes=[1], keepdims=0))
    m = Model("squeeze_excitation", 14)
    x = m.input(floats(2, 4, 5, 5), ["N", 4, "H", "W"])
    x = m.node("HardSwish", batch_norm(m, conv(m, x, 8, 4), 8))
    gate = m.node("HardSigmoid", conv(m, m.node("Relu", conv(m, m.node("GlobalAveragePool", x), 2, 8)), 8, 2), alpha=1 / 6)
    m.save(conv(m, m.node("Mul", gate, x), 3, 8))
    m = Model("pre_activation")  # batch normalization and ReLU before the convolution
    x = m.input(floats(1, 3, 5, 5), ["N", 3, "H", "W"])
    m.save(conv(m, m.node("Relu", batch_norm(m, x, 3)), 2, 3))
    m = Model("focus")  # YOLO: every second pixel, stacked
    x = m.input(floats(1, 2, 6, 6))
    def every(start: int, axis: int, of: str) -> str:
        return m.node("Slice", of, m.constant(ints([start])), m.constant(ints([2**31 - 1])), m.constant(ints([axis])), m.constant(ints([2])))
    pieces = [every(c, 3, every(r, 2, x)) for c in (0, 1) for r in (0, 1)]
    m.save(silu(m, conv(m, m.node("Concat", *pieces, axis=1), 3, 8)))


def quantized_functions() -> None:
    def pair(m: Model, x: str, scale: float, zero: np.ndarray) -> str:
        parameters = [m.constant(np.float32(scale)), m.constant(zero)]
        return m.node("DequantizeLinear", m.node("QuantizeLinear", x, *parameters), *parameters)

    for kind in (np.uint8, np.int8):
        zero = kind(120 if kind is np.uint8 else -8)
        m = Model(f"qdq_functions_{kind.__name__}", 17)
        x = pair(m, m.input(3 * floats(1, 4, 5, 5)), 0.025, zero)
        y = pair(m, silu(m, x), 0.02, zero)
        y = pair(m, hard_swish(m, y), 0.02, zero)
        gate = pair(m, m.node("Sigmoid", pair(m, m.node("GlobalAveragePool", y), 0.01, zero)), 1 / 256,
                    kind(0 if kind is np.uint8 else -128))
        y = pair(m, m.node("Mul", y, gate), 0.015, zero)
        y = pair(m, batch_norm(m, y, 4), 0.03, zero)
        y = pair(m, m.node("Sub", y, x), 0.04, zero)
        y = m.node("Slice", y, m.constant(ints([1])), m.constant(ints([4])), m.constant(ints([1])))
        m.save(pair(m, m.node("LeakyRelu", y, alpha=0.1), 0.04, zero), step=0.12)


def normalized() -> None:
    m = Model("normalize")  # the input's colours are normalized inside the network
    x = m.input(floats(2, 3, 5, 6) + 1, ["N", 3, "H", "W"])
    x = m.node("Div", m.node("Sub", x, m.constant(floats(1, 3, 1, 1))), m.constant(floats(3, 1, 1) + 2))
    x = m.node("Conv", m.node("Mul", m.constant(np.float32(2)), x), m.constant(floats(4, 3, 3, 3)))
    m.save(m.node("Sub", m.constant(np.float32(1)), x))


def from_torch() -> None:
    """Networks as PyTorch's own exporter writes them, unfolded."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
            self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardtanh(0, 6))
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.head = nn.Linear(8, 5)
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.uniform_(-0.2, 0.2)
                    module.running_var.uniform_(0.5, 1.5)

        def forward(self, x):
            x = self.stem(x)
            x = x + self.depthwise(x)
            x = nn.functional.dropout(self.up(x), training=self.training)
            x = nn.functional.pad(x, (1, 0, 2, 1))
            x = nn.functional.avg_pool2d(x, 3, stride=2, padding=1)
            x = x.mean((2, 3)).view(x.size(0), -1)
            return torch.softmax(self.head(x), 1)

    torch.manual_seed(5)
    for opset in (11, 13, 17):
        net = Net().eval()
        name = f"torch_opset{opset}"
        x = torch.rand(2, 3, 11, 12)
        torch.onnx.export(net, (x,), str(HERE / f"{name}.onnx"), input_names=["x"], output_names=["y"], dynamo=False,
                          opset_version=opset, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
                          dynamic_axes={"x": {0: "N", 2: "H", 3: "W"}})
        session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        np.savez(HERE / f"{name}.npz", in0=x.numpy(), out0=session.run(None, {"x": x.numpy()})[0])


def main() -> None:
    import small_networks  # needs torch

    HERE.mkdir(exist_ok=True)
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.npz")]:
        old.unlink()
    convolutions()
    networks()
    operators()
    quantized()
    normalized()
    from_torch()
    functions()
    reductions()
    parts()
    blocks()
    quantized_functions()
    small_networks.write_all(HERE)
    print(f"{len(list(HERE.glob('*.onnx')))} models, {sum(f.stat().st_size for f in HERE.iterdir())} bytes")


if __name__ == "__main__":
    main()
