"""What all convolution cases share: the geometry, how it is drawn, and what PyTorch's engines can do with it."""

import dataclasses
import functools
import math

from .case import Case

OPERATORS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")

# Kinds of channel and kernel combinations. FBGEMM, QNNPACK and qconv have kernels of their own for most of them.
SHAPES = (
    "dense", "dense", "grouped", "groupwise", "depthwise", "depthwise_multiplied", "same_depthwise", "same_depthwise", "pointwise",
    "direct", "blocks", "deep",
)

# How the numbers are drawn: see numbers.py.
FLAVOURS = ("full", "full", "small", "half", "ties", "odd_ties", "near_ties", "near_ties", "saturating", "large_multiplier",
            "big_bias", "tiny_scales", "one_sign")

MEMORY = ("contiguous", "channels_last", "sliced_channels", "sliced_space", "sliced_batch", "permuted", "strided")

# Multiplications of one case; more takes long and shows nothing new.
MOST_PRODUCTS = 3_000_000


@functools.lru_cache(maxsize=None)
def has_vnni():
    """Whether FBGEMM adds products in int32. Without, it adds pairs of them in a saturating int16."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return "avx512_vnni" in file.read()
    except OSError:
        return False


def runs_on_onednn(case):
    """Whether PyTorch computes it with oneDNN; its engine x86 chooses between that and FBGEMM."""
    if case.engine != "x86":
        return case.engine == "onednn"
    # Conv1d looks at no output padding, but oneDNN would refuse it, so there is none with symmetric weights.
    return has_vnni() and case.g <= 100 and not case.weight_zero_point and max(case.o) == 0


def choice(rng, values):
    return values[int(rng.integers(len(values)))]


def chance(rng, probability):
    return bool(rng.random() < probability)


@dataclasses.dataclass(frozen=True)
class Convolution(Case):
    """The geometry of one convolution, with everything else that decides its tensors.

    Sizes are PyTorch's: n, c, k: batch, input and output channels; g: groups; per spatial dimension i: input, f: kernel, s: stride,
    p: padding, d: dilation, o: output padding.
    """

    op: str = ""
    engine: str = "fbgemm"
    n: int = 1
    c: int = 1
    k: int = 1
    g: int = 1
    i: tuple = ()
    f: tuple = ()
    s: tuple = ()
    p: tuple = ()
    d: tuple = ()
    o: tuple = ()
    per_channel: bool = False
    weight_zero_point: bool = False
    bias: bool = False
    numbers: str = "full"
    memory: str = "contiguous"
    weight_memory: str = "contiguous"

    @property
    def ndim(self):
        return len(self.f)

    @property
    def transposed(self):
        return "transpose" in self.op

    @property
    def input_sizes(self):
        return (self.n, self.c, *self.i)

    @property
    def weight_sizes(self):
        if self.transposed:
            return (self.c, self.k // self.g, *self.f)
        return (self.k, self.c // self.g, *self.f)

    @property
    def weight_channels(self):
        """How many scales a per-channel weight has."""
        return self.k // self.g if self.transposed else self.k

    @property
    def output_spatial(self):
        return tuple(map(_output_size, [self.transposed] * self.ndim, self.i, self.f, self.s, self.p, self.d, self.o))

    @property
    def output_sizes(self):
        return (self.n, self.k, *self.output_spatial)

    @property
    def products(self):
        return max(self.n, 1) * math.prod(self.i if self.transposed else self.output_spatial) * math.prod(self.weight_sizes)

    def geometry(self):
        """The arguments of prepacking between bias and end, as PyTorch orders them."""
        if self.transposed:
            return [list(self.s), list(self.p), list(self.o), list(self.d), self.g]
        return [list(self.s), list(self.p), list(self.d), self.g]

    def may_saturate(self):
        """Whether PyTorch's kernel adds pairs of products in int16 (docs/differences.md, Arithmetic): then inputs have 7 bits.

        All of FBGEMM's and oneDNN's without VNNI, and FBGEMM's depthwise and direct kernels anywhere.
        """
        if self.engine == "qnnpack":
            return False
        if runs_on_onednn(self) or not has_vnni():
            return not has_vnni()
        return self.is_fbgemm_depthwise() or self.is_fbgemm_direct()

    def is_fbgemm_depthwise(self):
        """FBGEMM's own kernels for depthwise convolutions."""
        return (
            not self.transposed
            and self.ndim > 1
            and self.g == self.c
            and self.k in (self.g, 2 * self.g)
            and self.g % 8 == 0
            and all(f in (3, 5, 7) for f in self.f)
            and self.f[-1] == self.f[-2]
            and all(s in (1, 2) for s in self.s)
            and all(d == 1 for d in self.d)
            and all(p == (f - 1) // 2 for p, f in zip(self.p, self.f))
        )

    def is_fbgemm_direct(self):
        """FBGEMM's own kernel for transposed convolutions."""
        return (
            self.op == "conv_transpose2d"
            and self.g == 1
            and self.f[0] == 2
            and self.f[1] <= 6
            and self.c % 8 == self.k % 8 == 0
            and all(s in (1, 2) for s in self.s)
            and all(d == 1 for d in self.d)
            and max(self.p) == 0
        )

    def features(self):
        names = {self.op, self.engine, f"numbers {self.numbers}", f"memory {self.memory}"}
        names.add("weight per channel" if self.per_channel else "weight per tensor")
        tests = {
            "weight zero points": self.weight_zero_point,
            "bias": self.bias,
            "stride": max(self.s) > 1,
            "padding": max(self.p) > 0,
            "dilation": max(self.d) > 1,
            "output padding": max(self.o) > 0,
            "groups": self.g > 1,
            "depthwise": self.g > 1 and self.g == self.c,
            "empty batch": self.n == 0,
            "weight in another memory order": self.weight_memory != "contiguous",
        }
        return names | {name for name, true in tests.items() if true}


def _output_size(transposed, i, f, s, p, d, o):
    if transposed:
        return (i - 1) * s - 2 * p + d * (f - 1) + o + 1
    return (i + 2 * p - d * (f - 1) - 1) // s + 1


def draw_fields(rng, engine, operators=OPERATORS, zero_padding=False):
    """Fields of a random convolution that `engine` runs."""
    while True:
        fields = _draw(rng, engine, choice(rng, operators))
        case = Convolution(seed=0, **fields)
        if case.products <= MOST_PRODUCTS and _supported(case):
            return fields


def _supported(case):
    """False for what PyTorch refuses, gets wrong, or has other rules for."""
    # oneDNN's transposed convolutions are wrong in many shapes, or write past their memory (docs/differences.md, Operators).
    # So are those of one input and several output channels per group, and some whose input is smaller than the kernel.
    if runs_on_onednn(case) and (
        case.transposed
        or case.k > case.g == case.c
        or any(p > d * (f - 1) or i <= d * (f - 1) for i, p, d, f in zip(case.i, case.p, case.d, case.f))
    ):
        return False
    if case.engine == "qnnpack":
        # It has no 3-D transposed convolutions. Per channel and with groups, transposed, it reads scales past their end
        # (docs/differences.md, Operators).
        if case.op == "conv_transpose3d" or (case.transposed and case.per_channel and case.g > 1):
            return False
    # FBGEMM's 3-D depthwise kernel writes past its memory when the input is smaller than the kernel.
    if case.is_fbgemm_depthwise() and case.ndim == 3 and any(i < f for i, f in zip(case.i, case.f)):
        return False
    # FBGEMM's direct kernel reads an empty batch and dies; it is wrong with several images and with two rows of output for
    # one of input (docs/differences.md, Operators).
    if case.is_fbgemm_direct() and (case.n != 1 or case.s[0] != 1):
        return False
    return True


def _draw(rng, engine, op):
    ndim = int(op[-2])
    transposed = "transpose" in op
    shape = choice(rng, SHAPES)
    if shape == "direct" and op != "conv_transpose2d":
        shape = "dense"
    g, c, k = _channels(rng, shape, ndim)

    def each(draw):
        return tuple(int(draw()) for _ in range(ndim))

    largest = {1: 12, 2: 8, 3: 5}[ndim] if chance(rng, 0.2) else 4
    f = each(lambda: rng.integers(1, largest))
    s = each(lambda: rng.integers(1, 4)) if chance(rng, 0.5) else (1,) * ndim
    p = each(lambda: rng.integers(0, 4)) if chance(rng, 0.6) else (0,) * ndim
    d = each(lambda: rng.integers(1, 4)) if chance(rng, 0.35) else (1,) * ndim
    if shape == "same_depthwise" or (shape == "groupwise" and chance(rng, 0.6)):
        size = 3 if shape == "groupwise" or ndim == 3 else choice(rng, (3, 3, 5, 7))
        f, p, d, s = (size,) * ndim, (size // 2,) * ndim, (1,) * ndim, (choice(rng, (1, 2)),) * ndim
    if shape == "pointwise":
        f, d = (1,) * ndim, (1,) * ndim
        if chance(rng, 0.7):
            s, p = (1,) * ndim, (0,) * ndim
    if shape == "direct":
        f, p, d, s = (2, int(rng.integers(1, 7))), (0, 0), (1, 1), (choice(rng, (1, 2)),) * 2
    o = (0,) * ndim
    if transposed and chance(rng, 0.5):
        o = tuple(int(rng.integers(0, max(a, b))) for a, b in zip(s, d))
    largest = {1: 60, 2: 16, 3: 8}[ndim]
    if shape == "deep":
        largest = {1: 9, 2: 4, 3: 3}[ndim]
    i = list(each(lambda: rng.integers(1, largest)))
    for axis in range(ndim):
        while _output_size(transposed, i[axis], f[axis], s[axis], p[axis], d[axis], o[axis]) < 1:
            i[axis] += 1
    n = 0 if chance(rng, 0.02) else choice(rng, (1, 1, 1, 2, 3, 5))
    # FBGEMM and oneDNN refuse weights per channel of transposed convolutions (docs/differences.md, Operators).
    per_channel = chance(rng, 0.5) and not (transposed and engine != "qnnpack")
    return dict(
        op=op, engine=engine, n=n, c=c, k=k, g=g, i=tuple(i), f=f, s=s, p=p, d=d, o=o, per_channel=per_channel,
        # oneDNN refuses zero points of weights.
        weight_zero_point=engine != "onednn" and chance(rng, 0.4), bias=chance(rng, 0.7),
        numbers="one_sign" if shape == "deep" and chance(rng, 0.5) else choice(rng, FLAVOURS),
        memory=choice(rng, MEMORY), weight_memory=choice(rng, ("contiguous", "contiguous", "channels_last", "permuted")),
    )


def _channels(rng, shape, ndim):
    """(groups, input channels, output channels)"""
    if shape == "grouped":
        g = int(rng.integers(2, 6))
        return g, g * int(rng.integers(1, 12)), g * int(rng.integers(1, 12))
    if shape == "groupwise":
        g, width = choice(rng, (4, 8, 16, 32)), choice(rng, (2, 4, 8, 16))
        return g, g * width, g * width
    if shape == "depthwise":
        g = int(rng.integers(2, 70))
        return g, g, g
    if shape == "depthwise_multiplied":
        g = int(rng.integers(2, 40))
        return g, g, g * int(rng.integers(2, 4))
    if shape == "same_depthwise":
        g = 8 * int(rng.integers(1, 9))
        return g, g, g * (2 if chance(rng, 0.25) else 1)
    if shape == "blocks":  # around the widths of vectors
        around = [width + by for width in (16, 32, 48, 64, 96, 128) for by in (-1, 0, 1)]
        return 1, choice(rng, around), choice(rng, around)
    if shape == "direct":
        return 1, 8 * int(rng.integers(1, 5)), 8 * int(rng.integers(1, 5))
    if shape == "deep":  # accumulators beyond 2^24, where float32 rounds them
        return 1, int(rng.integers(300, 1100)), int(rng.integers(1, 20))
    return 1, int(rng.integers(1, 20)), int(rng.integers(1, 40))
