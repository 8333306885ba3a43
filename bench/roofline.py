"""The least time of a convolution on a core with AVX-512: what its instructions take if they never wait for each other.

Counted per vector of 16 int32 sums, on a core with four vector units, as Zen 5 is (docs/performance.md): two of them
multiply, the other two convert, two pack, all four shuffle. It is a lower bound: what tiles waste, loads, stores, loops
and transforms are left out.
"""

import math

from layers import Layer

LANES = 16
OPERATIONS = 2 * 2 * 4 * LANES  # of a core in a cycle: two dot products of four bytes in every lane
UNITS = 4
MULTIPLYING = 2  # units that take dot products, multiplications and fused multiply-adds
# Requantization: a fused multiply-add and a multiplication; two conversions; and, for four vectors, two packings to 16
# bits, two additions of the zero point and a packing to bytes.
SCALING = 2
OTHER = 2 + 5 / 4
FIRST_LEVEL_BYTES = 48 * 1024


def floor_us(layer: Layer, peak_gops: float, second_level_gbs: float) -> float:
    """Microseconds on one thread of a core whose dot products reach `peak_gops`."""
    cycles = vectors(layer) * min(
        vector_cycles(products, shuffles) for products, shuffles in algorithms(layer)
    )
    arithmetic = cycles / (1e3 * peak_gops / OPERATIONS)
    traffic = layer.bytes / (1e3 * second_level_gbs) if layer.bytes > FIRST_LEVEL_BYTES else 0.0
    return max(arithmetic, traffic)


def vectors(layer: Layer) -> float:
    return layer.batch * math.prod(layer.output) * layer.out_channels / LANES


def vector_cycles(products: float, shuffles: float) -> float:
    multiplying = (products + SCALING) / MULTIPLYING
    everything = (products + shuffles + SCALING + OTHER) / UNITS
    return max(multiplying, everything)


def algorithms(layer: Layer) -> list[tuple[float, float]]:
    """Dot products and shuffles of a vector of sums, for every way to compute it that is known."""
    taps = math.prod(layer.kernel) * layer.useful_share
    if layer.transposed:  # dense taps count inputs, of which each output sees its share
        taps *= math.prod(layer.input) / math.prod(layer.output)
    channels = layer.in_channels // layer.groups
    if layer.groups > 1 and channels == 1:
        return depthwise(layer, taps)
    # Groups of fewer than 16 channels share vectors: each lane's four bytes have to be shuffled there.
    narrow_groups = layer.groups > 1 and layer.out_channels // layer.groups < LANES
    direct = channels * taps / 4
    known = [(direct, direct if narrow_groups else 0.0)]
    if is_winograd(layer):
        depth = layer.kernel[0] if layer.dimensions == 3 else 1
        # F(4x4, 3x3): 36 products for 16 outputs, of two 16-bit channels each.
        known.append((36 / 16 * depth * channels / 2, 0.0))
    return known


def is_winograd(layer: Layer) -> bool:
    plane = layer.kernel[-2:] == (3, 3) and layer.stride[-2:] == (1, 1)
    return plane and layer.groups == 1 and not layer.transposed


def depthwise(layer: Layer, taps: float) -> list[tuple[float, float]]:
    """Four input rows, or four width taps, become dwords with eight shuffles for four vectors of channels."""
    if layer.transposed:
        return [(math.ceil(taps / 4), 0.0)]
    width, stride = layer.kernel[-1], layer.stride[-1]
    outer = math.prod(layer.kernel[:-1])
    known = [(outer * math.ceil(width / 4), 2.0 * outer * stride)]
    if layer.dimensions > 1:
        height = layer.kernel[-2]
        depth = layer.kernel[0] if layer.dimensions == 3 else 1
        for rows in range(1, 5):  # output rows that share the columns
            groups = depth * math.ceil((height + (rows - 1) * layer.stride[-2]) / 4)
            known.append((float(groups * width), 2.0 * groups * stride / rows))
    return known
