"""Draws the convolution cases of the corpus: geometry first, then numbers of one flavour. Deterministic per seed."""

import numpy as np

import numerics_model as model

F32 = np.float32

GEOMETRIES = ("dense", "dense", "grouped", "depthwise", "depthwise2", "fast_depthwise", "pointwise", "quarter", "wide")
FLAVOURS = (
    "small", "mid", "full", "ties", "odd_ties", "saturating", "large_multiplier", "big_bias", "near_ties", "near_ties",
    "tiny_scales",
)
MAX_OUTPUT = 900


def is_fast_depthwise(case):
    """FBGEMM's depthwise kernels, which add pairs of products into a saturating int16."""
    kernel = case["kernel"]
    return (
        case["engine"] == "fbgemm"
        and case["op"] in ("conv2d", "conv3d")
        and case["groups"] == case["in_channels"]
        and case["out_channels"] in (case["groups"], 2 * case["groups"])
        and case["groups"] % 8 == 0
        and kernel[-1] == kernel[-2]
        and all(k in (3, 5, 7) for k in kernel)
        and all(s in (1, 2) for s in case["stride"])
        and all(d == 1 for d in case["dilation"])
        and all(p == (k - 1) // 2 for p, k in zip(case["padding"], kernel))
    )


def _choice(rng, values):
    return values[int(rng.integers(len(values)))]


def _ints(rng, low, high, count):
    return [int(v) for v in rng.integers(low, high, count)]


def _channels(rng, kind):
    """(groups, in_channels, out_channels)"""
    if kind == "grouped":
        groups = int(rng.integers(2, 5))
        return groups, groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    if kind == "depthwise":
        groups = _choice(rng, (2, 3, 5, 8, 9, 16))
        return groups, groups, groups
    if kind == "depthwise2":
        groups = _choice(rng, (2, 3, 7, 8))
        return groups, groups, 2 * groups
    if kind == "fast_depthwise":
        groups = _choice(rng, (8, 8, 16))
        return groups, groups, groups * (_choice(rng, (1, 2)) if groups == 8 else 1)
    if kind == "quarter":  # few channels per group: FBGEMM's groupwise kernels
        groups = _choice(rng, (4, 8))
        return groups, groups * 2, groups * 2
    if kind == "wide":
        return 1, _choice(rng, (8, 16, 17)), _choice(rng, (8, 15, 16))
    return 1, int(rng.integers(1, 9)), int(rng.integers(1, 14))


def _output_size(case):
    if "transpose" in case["op"]:
        return [
            model.transposed_output_size(*args)
            for args in zip(
                case["input"], case["kernel"], case["stride"], case["padding"], case["output_padding"], case["dilation"]
            )
        ]
    return [
        model.conv_output_size(*args)
        for args in zip(case["input"], case["kernel"], case["stride"], case["padding"], case["dilation"])
    ]


def draw_geometry(rng, engine, op):
    """Attributes of a legal case whose tensors are small."""
    dims = int(op[-2])
    transposed = "transpose" in op
    kind = _choice(rng, GEOMETRIES)
    groups, in_channels, out_channels = _channels(rng, kind)
    largest = {1: 8, 2: 6 if rng.random() < 0.8 else 8, 3: 4 if rng.random() < 0.9 else 6}[dims]
    kernel = _ints(rng, 1, largest, dims)
    stride = _ints(rng, 1, 4, dims) if rng.random() < 0.6 else [1] * dims
    padding = _ints(rng, 0, 4, dims) if rng.random() < 0.6 else [0] * dims
    dilation = _ints(rng, 1, 4, dims) if rng.random() < 0.4 else [1] * dims
    if kind == "fast_depthwise" or (kind == "quarter" and rng.random() < 0.6):
        k = 3 if kind == "quarter" or dims == 3 else _choice(rng, (3, 3, 5))
        kernel, padding, dilation = [k] * dims, [k // 2] * dims, [1] * dims
        stride = [_choice(rng, (1, 2))] * dims
    if kind == "pointwise":
        kernel, stride, padding, dilation = [1] * dims, [1] * dims, [0] * dims, [1] * dims
    if kind == "wide" and transposed and dims == 2:  # FBGEMM's direct transposed kernels
        kernel, padding, dilation = [2, int(rng.integers(1, 7))], [0, 0], [1, 1]
        stride, in_channels, out_channels = [_choice(rng, (1, 2))] * 2, 8, 16
    case = {
        "op": op, "relu": not transposed and bool(rng.random() < 0.4), "dynamic": False, "engine": engine,
        "n": _choice(rng, (1, 1, 1, 1, 2, 2, 3)) if rng.random() < 0.98 else 0,
        "in_channels": in_channels, "out_channels": out_channels, "groups": groups,
        "input": _ints(rng, 1, {1: 20, 2: 8, 3: 5}[dims], dims), "kernel": kernel, "stride": stride,
        "padding": padding, "dilation": dilation, "output_padding": [0] * dims,
    }
    if transposed:
        case["output_padding"] = [
            int(rng.integers(0, max(s, d))) if rng.random() < 0.5 else 0 for s, d in zip(stride, dilation)
        ]
    for axis in range(dims):
        if is_fast_depthwise(case):  # the 3-D kernel corrupts memory when the input is smaller than the kernel
            case["input"][axis] = max(case["input"][axis], kernel[axis])
        while _output_size(case)[axis] < 1:
            case["input"][axis] += 1
    while case["n"] > 1 and case["n"] * out_channels * int(np.prod(_output_size(case))) > MAX_OUTPUT:
        case["n"] -= 1
    return case


def weight_shape(case):
    """Logical weight shape: [OC, IC/G, k...], transposed [IC, OC/G, k...]."""
    first, second = case["out_channels"], case["in_channels"]
    if "transpose" in case["op"]:
        first, second = second, first
    return [first, second // case["groups"], *case["kernel"]]


def is_small(case):
    """Keeps the corpus small: limits on every tensor."""
    inputs = case["n"] * case["in_channels"] * int(np.prod(case["input"]))
    outputs = case["n"] * case["out_channels"] * int(np.prod(_output_size(case)))
    return inputs <= 700 and outputs <= MAX_OUTPUT and int(np.prod(weight_shape(case))) <= 700


def _power_of_two(rng, low, high):
    return float(2.0 ** int(rng.integers(low, high)))


def _scales(rng, flavour, count):
    """(x_scale, w_scales)"""
    if flavour in ("ties", "odd_ties"):
        return _power_of_two(rng, -6, 1), [_power_of_two(rng, -6, 1) for _ in range(count)]
    if flavour == "tiny_scales":
        return float(rng.uniform(1e-6, 1e-4)), [float(v) for v in rng.uniform(1e-7, 1e-5, count)]
    if rng.random() < 0.3:  # short decimals, as people write them
        return round(float(rng.uniform(0.01, 2)), 2), [round(float(v), 3) for v in rng.uniform(0.01, 2, count)]
    return float(rng.uniform(0.001, 2)), [float(v) for v in rng.uniform(0.001, 2, count)]


def draw_weights(rng, case, low, high, flavour):
    """Fills in the weight parameters and returns the raw weights."""
    per_channel = "transpose" not in case["op"] and bool(rng.random() < 0.45)
    count = case["out_channels"] if per_channel else 1
    case["x_scale"], case["w_scales"] = _scales(rng, flavour, count)
    zero_points = _ints(rng, -128, 128, count) if rng.random() < 0.3 else _ints(rng, -5, 6, count)
    case["w_zero_points"] = zero_points if rng.random() < 0.5 else [0] * count
    case["w_axis"] = 0 if per_channel else None
    return rng.integers(low, high, weight_shape(case)).astype(np.int8)


def _bias(rng, flavour, acc, case, wide_scales):
    """Bias vector or None. near_ties puts one output of every channel next to a rounding boundary."""
    channels = case["out_channels"]
    units = case["x_scale"] * wide_scales
    spread = float(np.abs(acc).max()) if acc.size else 10.0
    if flavour == "near_ties":
        columns = np.moveaxis(acc, 1, 0).reshape(channels, -1)
        first = columns[:, columns.shape[1] // 2] if columns.size else np.zeros(channels)
        target = rng.integers(-60, 60, channels) + 0.5
        bias = (target * case["y_scale"] - first * units).astype(F32)
        return (bias.view(np.int32) + rng.integers(-2, 3, channels).astype(np.int32)).view(F32)
    if flavour == "ties":
        return (rng.integers(-40, 40, channels) / 2.0 * units).astype(F32) if rng.random() < 0.5 else None
    if flavour == "odd_ties" or rng.random() < 0.25:
        return None
    factor = {"big_bias": 200.0}.get(flavour, float(_choice(rng, (0.05, 0.5))))
    return (rng.normal(0, 1, channels) * (spread + 1) * factor * units).astype(F32)


def _output_scale(rng, flavour, acc, units):
    typical = (float(np.std(acc)) if acc.size else 10.0) * float(np.mean(units)) + float(np.mean(units))
    if flavour in ("ties", "odd_ties"):
        return float(2.0 ** np.round(np.log2(typical / rng.uniform(15, 60))))
    if flavour == "saturating":
        return float(typical / rng.uniform(300, 3000))
    if flavour == "large_multiplier":
        return float(np.mean(units) / rng.uniform(1, 40))
    if flavour == "big_bias":
        return float(typical * rng.uniform(0.5, 3))
    return float(typical / rng.uniform(15, 60))


def draw_static(rng, engine, op):
    """One static case: (case, x, w, bias). None when the geometry is too large."""
    case = draw_geometry(rng, engine, op)
    if not is_small(case):
        return None
    flavour = _choice(rng, FLAVOURS)
    ranges = {"small": (4, -5, 5), "large_multiplier": (8, -5, 5), "mid": (128, -128, 128), "near_ties": (16, -9, 9)}
    top, low, high = ranges.get(flavour, (256, -128, 128))
    x_zero_point = int(rng.integers(0, 256)) if rng.random() < 0.8 else _choice(rng, (0, 255))
    if is_fast_depthwise(case) and rng.random() < 0.9:
        top, x_zero_point = min(top, 128), x_zero_point // 2
    w = draw_weights(rng, case, low, high, flavour)
    x = rng.integers(0, top, [case["n"], case["in_channels"], *case["input"]]).astype(np.uint8)
    case["x_zero_point"] = x_zero_point
    acc = model.accumulate(case, x, w)
    wide_scales = np.resize(np.asarray(case["w_scales"]), case["out_channels"])
    case["y_scale"] = _output_scale(rng, flavour, acc, case["x_scale"] * wide_scales)
    zero_points = {"odd_ties": (1, 127, 129, 7, 255), "near_ties": (111, 128, 131)}
    case["y_zero_point"] = _choice(rng, zero_points.get(flavour, (0, 255, *_ints(rng, 0, 256, 6))))
    bias = _bias(rng, flavour, acc, case, wide_scales)
    case["bias"] = bias is not None
    case["flavour"] = flavour
    return case, x, w, bias


def draw_dynamic(rng, engine, op):
    """One dynamic case: (case, x, w, bias) with float x. None when the geometry is too large."""
    case = draw_geometry(rng, engine, op)
    if not is_small(case) or is_fast_depthwise(case) or case["n"] == 0:
        return None
    case.update(relu=False, dynamic=True, reduce_range=bool(rng.random() < 0.5))
    w = draw_weights(rng, case, -128, 128, "mid")
    case["w_scales"] = [s * 0.02 for s in case["w_scales"]]
    del case["x_scale"]
    shape = [case["n"], case["in_channels"], *case["input"]]
    magnitude = float(np.exp(rng.uniform(-8, 4))) if rng.random() < 0.9 else 1e-6
    x = (rng.normal(rng.uniform(-2, 2), 1, shape) * magnitude).astype(F32)
    sign = rng.random()
    if sign < 0.15:
        x = np.abs(x)
    elif sign < 0.3:
        x = -np.abs(x)
    elif sign < 0.33:
        x = np.zeros_like(x)
    bias = None
    if rng.random() < 0.7:
        bias = (rng.normal(0, 1, case["out_channels"]) * magnitude).astype(F32)
    case["bias"] = bias is not None
    return case, x, w, bias
