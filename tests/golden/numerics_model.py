"""Exact models of PyTorch's quantized arithmetic, in numpy.

Each function states one rule. Nothing here calls PyTorch: the generator compares these functions with the real
operators and keeps only what is equal to the last bit. All float32 steps are separate numpy operations, so that
no step is fused with the next one.
"""

import itertools
import math

import numpy as np

F32 = np.float32


def quantize(x, scale, zero_point, qmin, qmax):
    """clamp(zero_point + rint(f32(x * (1 / f32(scale)))), qmin, qmax); the zero point is added after rounding.

    scale and zero_point are scalars, or arrays that broadcast against x (per channel).
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        inverse = F32(1.0) / np.asarray(scale, dtype=F32)
        scaled = (np.asarray(x, dtype=F32) * inverse).astype(F32)
    limited = np.clip(np.rint(scaled.astype(np.float64)), -1e18, 1e18)  # inf is legal and saturates
    return np.clip(limited.astype(np.int64) + np.asarray(zero_point, dtype=np.int64), qmin, qmax)


def dequantize(q, scale, zero_point):
    """Per tensor: f32(scale) * f32(q - zero_point), the difference being taken in integers."""
    difference = np.asarray(q, dtype=np.int64) - np.asarray(zero_point, dtype=np.int64)
    return (difference.astype(F32) * F32(scale)).astype(F32)


def dequantize_per_channel(q, scales, zero_points, axis):
    """Per channel the scale stays a double: f32(scale * (f32(q) - f32(zero_point)))."""
    q = np.asarray(q)
    shape = [-1 if i == axis else 1 for i in range(q.ndim)]
    difference = q.astype(F32) - np.asarray(zero_points).astype(F32).reshape(shape)
    return (difference.astype(np.float64) * np.asarray(scales, dtype=np.float64).reshape(shape)).astype(F32)


def fma(a, b, c):
    """float32 a * b + c with one rounding.

    The product of two float32 is exact in a double. The sum is rounded to odd (its error term is known), so that the
    last rounding, to float32, is the only one that counts.
    """
    product = np.asarray(a, dtype=np.float64) * np.asarray(b, dtype=np.float64)
    addend = np.broadcast_to(np.asarray(c, dtype=np.float64), np.broadcast(product, c).shape)
    total = np.ascontiguousarray(product + addend)
    part = total - product
    error = (product - (total - part)) + (addend - part)
    even = (total.view(np.int64) & 1) == 0
    towards = np.where(error > 0, np.inf, -np.inf)
    return np.where((error != 0) & even, np.nextafter(total, towards), total).astype(F32)


def conv_output_size(input_size, kernel, stride, padding, dilation):
    """Extent of one axis after a convolution."""
    return (input_size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def transposed_output_size(input_size, kernel, stride, padding, output_padding, dilation):
    """Extent of one axis after a transposed convolution."""
    return (input_size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


def accumulate_conv(x, w, groups, stride, padding, dilation):
    """Integer convolution. x: [N, C, spatial], w: [OC, C/G, kernel], both with zero points taken off. Returns int64."""
    n, channels = x.shape[:2]
    out_channels = w.shape[0]
    dims = x.ndim - 2
    kernel = w.shape[2:]
    padded = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    out_size = [
        conv_output_size(x.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i]) for i in range(dims)
    ]
    grouped_w = w.reshape(groups, out_channels // groups, channels // groups, *kernel)
    acc = np.zeros((n, groups, out_channels // groups, *out_size), dtype=np.int64)
    for tap in itertools.product(*(range(k) for k in kernel)):
        window = tuple(
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + (out_size[i] - 1) * stride[i] + 1, stride[i])
            for i in range(dims)
        )
        patch = padded[(slice(None), slice(None)) + window]
        patch = patch.reshape(n, groups, channels // groups, *out_size)
        acc += np.einsum("ngc...,goc->ngo...", patch, grouped_w[(Ellipsis,) + tap])
    return acc.reshape(n, out_channels, *out_size)


def accumulate_transposed(x, w, groups, stride, padding, output_padding, dilation):
    """Integer transposed convolution. x: [N, C, spatial], w: [C, OC/G, kernel], zero points taken off. Returns int64."""
    n, channels = x.shape[:2]
    dims = x.ndim - 2
    kernel = w.shape[2:]
    out_per_group = w.shape[1]
    out_size = [
        transposed_output_size(x.shape[2 + i], kernel[i], stride[i], padding[i], output_padding[i], dilation[i])
        for i in range(dims)
    ]
    full = [
        max(
            (x.shape[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1, padding[i] + out_size[i]
        )
        for i in range(dims)
    ]
    grouped_x = x.reshape(n, groups, channels // groups, *x.shape[2:])
    grouped_w = w.reshape(groups, channels // groups, out_per_group, *kernel)
    acc = np.zeros((n, groups, out_per_group, *full), dtype=np.int64)
    for tap in itertools.product(*(range(k) for k in kernel)):
        window = tuple(
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + (x.shape[2 + i] - 1) * stride[i] + 1, stride[i])
            for i in range(dims)
        )
        acc[(slice(None), slice(None), slice(None)) + window] += np.einsum(
            "ngc...,gco->ngo...", grouped_x, grouped_w[(Ellipsis,) + tap]
        )
    crop = tuple(slice(padding[i], padding[i] + out_size[i]) for i in range(dims))
    return acc.reshape(n, groups * out_per_group, *full)[(slice(None), slice(None)) + crop]


def accumulate(case, x, w):
    """Accumulator of a case: sum over in-bounds taps of (x - x_zero_point) * (w - w_zero_point[channel])."""
    centred_x = x.astype(np.int64) - case["x_zero_point"]
    zero_points = np.asarray(case["w_zero_points"], dtype=np.int64)
    if case["w_axis"] is not None:
        zero_points = zero_points.reshape([-1 if i == case["w_axis"] else 1 for i in range(w.ndim)])
    centred_w = w.astype(np.int64) - zero_points
    if "transpose" in case["op"]:
        return accumulate_transposed(
            centred_x, centred_w, case["groups"], case["stride"], case["padding"], case["output_padding"],
            case["dilation"],
        )
    return accumulate_conv(centred_x, centred_w, case["groups"], case["stride"], case["padding"], case["dilation"])


def _per_channel(values, acc):
    return np.asarray(values, dtype=F32).reshape([1, -1] + [1] * (acc.ndim - 2))


def _finish(scaled, zero_point, relu):
    rounded = np.rint(scaled.astype(np.float64))
    low = zero_point if relu else 0
    return np.clip(rounded + zero_point, low, 255).astype(np.uint8)


def requantize_fbgemm(acc, bias, x_scale, w_scales, per_channel, y_scale, y_zero_point, relu):
    """FBGEMM: the bias is added in float, in units of atw = f32(x_scale * w_scale).

    Per-tensor weights: fma(bias, 1 / atw, acc), one rounding. Per-channel weights: acc + bias / atw, two roundings.
    Returns (y, the float32 values before the last rounding).
    """
    atw = (np.asarray(w_scales, dtype=F32) * F32(x_scale)).astype(F32)
    multiplier = (atw / F32(y_scale)).astype(F32)
    value = acc.astype(F32)
    if bias is not None:
        if per_channel:
            term = np.asarray(bias, dtype=F32) / atw
            value = (value + _per_channel(term, acc)).astype(F32)
        else:
            value = fma(_per_channel(bias, acc), F32(1.0) / atw[0], value)
    value = (value * _per_channel(multiplier, acc)).astype(F32)
    return _finish(value, y_zero_point, relu), value


def quantize_bias_qnnpack(bias, x_scale, w_scales):
    """QNNPACK's integer bias: units of x_scale * w_scale, a double product, at use rounded to float32."""
    return quantize(bias, np.asarray(w_scales, dtype=np.float64) * x_scale, 0, -(2**31), 2**31 - 1)


def requantize_qnnpack(acc, x_scale, w_scales, y_scale, y_zero_point, relu):
    """QNNPACK: acc already holds the integer bias. Returns (y, the float32 values before the last rounding)."""
    atw = (np.asarray(w_scales, dtype=F32) * F32(x_scale)).astype(F32)
    multiplier = (atw * (F32(1.0) / F32(y_scale))).astype(F32)
    value = (acc.astype(F32) * _per_channel(multiplier, acc)).astype(F32)
    return _finish(value, y_zero_point, relu), value


class OutOfRange(Exception):
    """The case leaves int32 (or float to int32), where the engines wrap instead of saturating."""


def convolve(case, x, w, bias):
    """Output of a static case under the rule of its engine. Raises OutOfRange where that engine would wrap."""
    acc = accumulate(case, x, w)
    scales = (case["x_scale"], case["w_scales"])
    output = (case["y_scale"], case["y_zero_point"], case["relu"])
    if case["engine"] == "qnnpack":
        if bias is not None:
            quantized = quantize_bias_qnnpack(bias, *scales)
            if np.abs(quantized).max() > 2**30:
                raise OutOfRange("bias")
            acc = acc + quantized.reshape([1, -1] + [1] * (acc.ndim - 2))
        y, value = requantize_qnnpack(acc, *scales, *output)
    else:
        y, value = requantize_fbgemm(acc, bias, *scales, case["w_axis"] is not None, *output)
    if acc.size and (np.abs(acc).max() >= 2**30 or np.abs(value).max() >= 2**30):
        raise OutOfRange("accumulator")
    return y


def convolve_dynamic(case, x, w, bias):
    """Output (float32) of a dynamic case: quantize the input, convolve with output parameters = input parameters."""
    reduce_range = case["reduce_range"] and case["engine"] == "fbgemm"
    low, high = (x.min(), x.max()) if x.size else (F32(0), F32(0))
    scale, zero_point = choose_qparams(low, high, reduce_range)
    static = dict(case, x_scale=scale, x_zero_point=zero_point, y_scale=scale, y_zero_point=zero_point)
    q = quantize(x, scale, zero_point, 0, 255)
    return dequantize(convolve(static, q, w, bias), scale, zero_point)


def choose_qparams(low, high, reduce_range):
    """ATen's ChooseQuantizationParams for quint8. low and high are float32. Returns (scale, zero_point)."""
    qmin, qmax = (0, 127) if reduce_range else (0, 255)
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / (qmax - qmin)
    if F32(scale) == 0 or math.isinf(F32(1.0) / F32(scale)):
        scale = 0.1
    threshold = float(F32(6.1e-5))
    if scale < threshold:
        original = scale
        scale = threshold
        if low == 0.0:
            high = float(F32(threshold * (qmax - qmin)))
        elif high == 0.0:
            low = float(F32(-threshold * (qmax - qmin)))
        else:
            amplifier = F32(threshold / original)
            low, high = float(F32(low) * amplifier), float(F32(high) * amplifier)
    from_low = qmin - low / scale
    from_high = qmax - high / scale
    error_low = abs(qmin) - abs(low / scale)
    error_high = abs(qmax) - abs(high / scale)
    zero_point = from_low if error_low < error_high else from_high
    if zero_point < qmin:
        return scale, qmin
    if zero_point > qmax:
        return scale, qmax
    return scale, int(np.rint(zero_point))
