"""The numbers of a convolution case: integers, scales, zero points and bias, drawn as its `numbers` says."""

import dataclasses

import numpy as np
import torch

F32 = np.float32

# Beyond this, PyTorch's engines overflow where qconv saturates (docs/differences.md, Arithmetic).
LARGEST_VALUE = 2.0**30


@dataclasses.dataclass
class Numbers:
    """Tensors as arrays; w_scales and w_zero_points have one entry or one for each channel."""

    x: np.ndarray
    x_scale: float
    x_zero_point: int
    w: np.ndarray
    w_scales: list
    w_zero_points: list
    bias: np.ndarray
    y_scale: float
    y_zero_point: int
    acc: np.ndarray  # exact, float64


def next_to_ties(case, numbers, addend=0.0):
    """Which outputs lie so close to a half that the order of float operations decides how they are rounded.

    addend: what is added before rounding, in steps of the output.
    """
    view = [1, -1] + [1] * (numbers.acc.ndim - 2)
    factor = numbers.x_scale * np.resize(numbers.w_scales, case.k).reshape(view) / numbers.y_scale
    product = numbers.acc * factor
    bias = 0.0
    if numbers.bias is not None and case.engine == "qnnpack":  # joins the sum as an integer (docs/numerics.md)
        scales = (np.asarray(numbers.w_scales) * numbers.x_scale).astype(F32)
        bias = np.rint(numbers.bias * (F32(1) / scales)).astype(np.float64).reshape(view) * factor
    elif numbers.bias is not None:
        bias = numbers.bias.astype(np.float64).reshape(view) / numbers.y_scale
    exact = product + bias + addend
    # Five roundings of numbers that are no larger than this; oneDNN adds the zero point before it rounds.
    unit = (np.abs(product) + np.abs(bias) + np.abs(addend) + 256) * 2.0**-24
    return np.abs(exact - np.floor(exact) - 0.5) < 5 * unit


def accumulators(case, x, x_zero_point, w, w_zero_points):
    """The exact sums of products, as float64, whose products and sums of such integers are exact."""
    view = [1] * w.ndim
    view[1 if case.transposed else 0] = -1
    xs = torch.from_numpy(x.astype(np.float64) - x_zero_point)
    ws = torch.from_numpy(w.astype(np.float64) - np.asarray(w_zero_points, np.float64).reshape(view))
    convolve = getattr(torch.nn.functional, case.op)
    if case.transposed:
        return convolve(xs, ws, None, case.s, case.p, case.o, case.g, case.d).numpy()
    return convolve(xs, ws, None, case.s, case.p, case.d, case.g).numpy()


def draw_numbers(case):
    """The numbers of a case, the same ones every time."""
    rng = np.random.default_rng([case.seed, 1])
    flavour = case.numbers
    top, low, high = {
        "small": (4, -5, 6), "large_multiplier": (8, -5, 6), "half": (128, -128, 128), "near_ties": (16, -9, 10),
        "one_sign": (256, 0, 128),
    }.get(flavour, (256, -128, 128))
    x_zero_point = int(rng.integers(0, 256)) if rng.random() < 0.8 else int(rng.choice([0, 128, 255]))
    if flavour == "one_sign":
        x_zero_point = 0
    if case.may_saturate():
        top, x_zero_point = min(top, 128), min(x_zero_point, 127)
    x = rng.integers(0, top, case.input_sizes).astype(np.uint8)
    w = rng.integers(low, high, case.weight_sizes).astype(np.int8)
    count = case.weight_channels if case.per_channel else 1
    zero_points = rng.integers(-128, 128, count) if rng.random() < 0.5 else rng.integers(-5, 6, count)
    zero_points[0] = zero_points[0] or 3  # engine x86 looks at the values to choose between FBGEMM and oneDNN
    w_zero_points = zero_points.tolist() if case.weight_zero_point else [0] * count
    x_scale, w_scales = _scales(rng, flavour, count)
    acc = accumulators(case, x, x_zero_point, w, w_zero_points)
    # Of every output channel: the real number that one unit of the accumulator stands for.
    units = x_scale * np.resize(np.asarray(w_scales), case.k)
    y_scale = _output_scale(rng, flavour, acc, units)
    bias = _bias(rng, flavour, acc, units, y_scale) if case.bias else None
    y_zero_point = {"odd_ties": (1, 127, 129, 7, 255), "near_ties": (111, 128, 131)}.get(
        flavour, (0, 255, *rng.integers(0, 256, 6).tolist())
    )
    y_zero_point = int(rng.choice(y_zero_point))
    if case.engine == "qnnpack" and bias is not None:
        # The quantized bias and the largest sum of products fit int32; QNNPACK would wrap (docs/differences.md, Arithmetic).
        bias = np.clip(bias, -LARGEST_VALUE * units, LARGEST_VALUE * units).astype(F32)
    largest = np.abs(acc).max(initial=0) * units.max() + (0 if bias is None else np.abs(bias).max())
    y_scale = max(y_scale, float(largest / LARGEST_VALUE))
    return Numbers(x, x_scale, x_zero_point, w, w_scales, w_zero_points, bias, y_scale, y_zero_point, acc)


def _scales(rng, flavour, count):
    """(scale of the input, scales of the weight)"""
    if flavour in ("ties", "odd_ties"):
        return float(2.0 ** rng.integers(-6, 1)), (2.0 ** rng.integers(-6, 1, count)).tolist()
    if flavour == "tiny_scales":
        return float(rng.uniform(1e-6, 1e-4)), rng.uniform(1e-7, 1e-5, count).tolist()
    if rng.random() < 0.3:  # short decimals, as people write them
        return round(float(rng.uniform(0.01, 2)), 2), [round(v, 3) for v in rng.uniform(0.01, 2, count).tolist()]
    return float(rng.uniform(0.001, 2)), rng.uniform(0.001, 2, count).tolist()


def _output_scale(rng, flavour, acc, units):
    unit = float(np.mean(units))
    typical = (float(np.std(acc)) if acc.size else 10.0) * unit + unit
    if flavour in ("ties", "odd_ties"):
        return float(2.0 ** np.round(np.log2(typical / rng.uniform(15, 60))))
    if flavour == "saturating":
        return float(typical / rng.uniform(300, 3000))
    if flavour == "large_multiplier":
        return float(unit / rng.uniform(1, 40))
    if flavour == "big_bias":
        return float(typical * rng.uniform(0.5, 3))
    return float(typical / rng.uniform(15, 60))


def _bias(rng, flavour, acc, units, y_scale):
    channels = units.size
    if flavour == "near_ties":  # one output of every channel lies next to a half, give or take two units in the last place
        columns = np.moveaxis(acc, 1, 0).reshape(channels, -1)
        one = columns[:, columns.shape[1] // 2] if columns.size else np.zeros(channels)
        target = rng.integers(-60, 60, channels) + 0.5
        exact = (target * y_scale - one * units).astype(F32)
        return (exact.view(np.int32) + rng.integers(-2, 3, channels).astype(np.int32)).view(F32)
    if flavour == "ties":
        return (rng.integers(-40, 40, channels) / 2.0 * units).astype(F32)
    if flavour == "odd_ties":
        return (rng.integers(-40, 40, channels) * units).astype(F32)
    spread = np.abs(acc).max(initial=0) + 10.0
    factor = 200.0 if flavour == "big_bias" else float(rng.choice([0.05, 0.5]))
    return (rng.normal(0, 1, channels) * spread * factor * units).astype(F32)
