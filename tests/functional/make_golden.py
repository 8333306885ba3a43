#!/usr/bin/env python3
"""Writes golden.json: what PyTorch and ONNX Runtime answer for tests/functional/golden_test.cpp.

    python3 tests/functional/make_golden.py       (torch, onnx, onnxruntime, numpy)

Deviations that the cases leave room for or stay away from:
  * float results are compared to 4e-6 of the largest output: PyTorch computes positions and weights of
    interpolations in float32, we compute them in float64 and round the weights.
  * quantized add, cat and linear interpolation: PyTorch's vector code dequantizes with one fused
    multiply-add, we with a subtraction and a product, so that a value that lies within a rounding error of a
    tie may differ by 1. The test allows a difference of 1 in at most 2 of 100 elements there; all others must
    be equal. PyTorch sends qint8 additions with zero points 0 to XNNPACK, which rounds in integers; the cases
    are quint8.
  * quantized bilinear interpolation: PyTorch rounds float(result) / scale ratio after adding the zero point's
    share; same allowance as above.
"""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import helper

torch.manual_seed(20)
rng = np.random.default_rng(20)
cases = []


def floats(*sizes):
    return torch.from_numpy(rng.integers(-64, 64, sizes).astype(np.float32) / 16)


def quantized(scale, zero_point, *sizes):
    ints = torch.from_numpy(rng.integers(0, 256, sizes).astype(np.uint8))
    return torch._make_per_tensor_quantized_tensor(ints, scale, zero_point)


def dump(t):
    if t.is_quantized:
        return {"sizes": list(t.shape), "scale": t.q_scale(), "zero_point": t.q_zero_point(),
                "ints": t.int_repr().flatten().tolist()}
    # 9 digits give every float32 back.
    return {"sizes": list(t.shape), "values": [float(f"{v:.9g}") for v in t.flatten().tolist()]}


def case(op, inputs, output, **args):
    cases.append({"op": op, "inputs": [dump(t) for t in inputs], "args": args, "output": dump(output)})


# Interpolation: PyTorch's modes, to sizes and by factors.
for x, size in ((floats(1, 2, 5), (8,)), (floats(2, 3, 4, 6), (7, 5)), (floats(1, 2, 3, 4, 5), (5, 3, 9))):
    modes = {3: ["nearest", "nearest-exact", "linear"], 4: ["nearest", "nearest-exact", "bilinear", "bicubic"],
             5: ["nearest", "trilinear"]}[x.dim()]
    for mode in modes:
        for corners in ([False] if mode.startswith("nearest") else [False, True]):
            extra = {} if mode.startswith("nearest") else {"align_corners": corners}
            case("interpolate", [x], F.interpolate(x, size=size, mode=mode, **extra), mode=mode,
                 align_corners=corners, size=list(size))
            factor = 1.7
            case("interpolate", [x], F.interpolate(x, scale_factor=factor, mode=mode, **extra), mode=mode,
                 align_corners=corners, scale_factor=[factor])
q = quantized(0.05, 113, 1, 4, 5, 6)
case("interpolate", [q], F.interpolate(q, size=(9, 7), mode="nearest"), mode="nearest", align_corners=False,
     size=[9, 7])
case("interpolate_q", [q], F.interpolate(q, size=(10, 12), mode="bilinear", align_corners=False),
     mode="bilinear", align_corners=False, size=[10, 12])

# Interpolation: ONNX's coordinate modes.
x = floats(1, 2, 5, 4)
for mode in ("nearest", "linear", "cubic"):
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        for nearest in (("round_prefer_floor", "round_prefer_ceil", "floor", "ceil") if mode == "nearest"
                        else ("floor",)):
            for sizes in ((8, 7), (3, 1)):
                node = helper.make_node(
                    "Resize", ["x", "", "", "sizes"], ["y"], mode=mode, nearest_mode=nearest,
                    coordinate_transformation_mode=coordinates, cubic_coeff_a=-0.75)
                graph = helper.make_graph(
                    [node], "resize", [helper.make_tensor_value_info("x", 1, list(x.shape))],
                    [helper.make_tensor_value_info("y", 1, None)],
                    [helper.make_tensor("sizes", onnx.TensorProto.INT64, [4], [1, 2, *sizes])])
                model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
                session = onnxruntime.InferenceSession(model.SerializeToString(),
                                                       providers=["CPUExecutionProvider"])
                y = session.run(None, {"x": x.numpy()})[0]
                case("resize", [x], torch.from_numpy(y), mode=mode, coordinates=coordinates, nearest=nearest,
                     size=list(sizes))

# Pools.
for dims, x in ((1, floats(2, 3, 11)), (2, floats(1, 3, 9, 8)), (3, floats(1, 2, 5, 6, 7))):
    max_pool = getattr(F, f"max_pool{dims}d")
    avg_pool = getattr(F, f"avg_pool{dims}d")
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 1)):
        for ceil in (False, True):
            case("max_pool", [x], max_pool(x, kernel, stride, padding, 1, ceil), kernel=kernel, stride=stride,
                 padding=padding, dilation=1, ceil=ceil)
            for count in (False, True):
                case("avg_pool", [x], avg_pool(x, kernel, stride, padding, ceil, count), kernel=kernel,
                     stride=stride, padding=padding, ceil=ceil, count=count)
    case("max_pool", [x], max_pool(x, 2, 1, 1, 2, True), kernel=2, stride=1, padding=1, dilation=2, ceil=True)
    case("adaptive_avg_pool", [x], getattr(F, f"adaptive_avg_pool{dims}d")(x, 3), size=3)
for z in (0, 117):
    q = quantized(0.07, z, 1, 5, 9, 8).contiguous(memory_format=torch.channels_last)
    for ceil in (False, True):
        case("max_pool", [q], F.max_pool2d(q, 3, 2, 1, 1, ceil), kernel=3, stride=2, padding=1, dilation=1,
             ceil=ceil)
        for count in (False, True):
            case("avg_pool", [q], F.avg_pool2d(q, 3, 2, 1, ceil, count), kernel=3, stride=2, padding=1,
                 ceil=ceil, count=count)
    case("adaptive_avg_pool", [q], F.adaptive_avg_pool2d(q, 1), size=1)

# Padding.
for x in (floats(1, 2, 6), floats(1, 2, 5, 6), floats(1, 2, 4, 5, 3), quantized(0.1, 77, 1, 2, 5, 6)):
    pad = [1, 2, 3, 1, 2, 1][:2 * (x.dim() - 2)]
    for mode in ("constant", "reflect", "replicate", "circular"):
        if x.is_quantized and mode in ("circular", "replicate"):
            continue  # PyTorch has none
        case("pad", [x], F.pad(x, pad, mode), pad=pad, mode="zeros" if mode == "constant" else mode, value=0)
    if not x.is_quantized:
        case("pad", [x], F.pad(x, pad, "constant", 1.5), pad=pad, mode="zeros", value=1.5)
        case("pad", [x], F.pad(x, [-1, 2] + pad[2:], "constant", 0), pad=[-1, 2] + pad[2:], mode="zeros", value=0)

# Quantized addition and concatenation.
for za, zb, zy in ((0, 0, 0), (128, 100, 120), (255, 3, 17)):
    a, b = quantized(0.031, za, 1, 8, 5, 6), quantized(0.057, zb, 1, 8, 5, 6)
    case("add", [a, b], torch.ops.quantized.add(a, b, 0.06, zy), scale=0.06, zero_point=zy)
    case("add_relu", [a, b], torch.ops.quantized.add_relu(a, b, 0.06, zy), scale=0.06, zero_point=zy)
    case("cat", [a, b], torch.ops.quantized.cat([a, b], 1, 0.043, zy), dim=1, scale=0.043, zero_point=zy)
    case("cat", [a, b], torch.ops.quantized.cat([a, b], 2, None, None), dim=2)
q = quantized(0.05, 60, 2, 3, 4)
case("relu", [q], torch.relu(q))
case("clamp", [q], torch.clamp(q, -1.01, 2.33), min=-1.01, max=2.33)

# The rest.
x = floats(2, 5, 3, 4)
case("softmax", [x], F.softmax(x, 1), dim=1)
case("softmax", [x], F.softmax(x, -1), dim=-1)
mean, var, weight, bias = floats(5), floats(5).abs() + 0.5, floats(5), floats(5)
case("batch_norm", [x, mean, var, weight, bias], F.batch_norm(x, mean, var, weight, bias, False, 0, 1e-5))

path = pathlib.Path(__file__).with_name("golden.json")
lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
path.write_text('{"torch":"%s","onnxruntime":"%s","cases":[\n%s\n]}\n'
                % (torch.__version__, onnxruntime.__version__, lines))
print(len(cases), "cases,", path.stat().st_size, "bytes")
