"""quantize_per_tensor, quantize_per_channel and dequantize against PyTorch's functions of these names."""

import dataclasses
import math

import numpy as np
import torch

import qconv

from . import tensors
from .case import Case
from .convolution import chance, choice

DTYPES = {"quint8": (0, 255), "qint8": (-128, 127), "qint32": (-(2**31), 2**31 - 1)}
VALUES = ("normal", "halves", "near_halves", "huge", "tiny", "infinite")


@dataclasses.dataclass(frozen=True)
class QuantizeCase(Case):
    """A float tensor, quantized and dequantized. axis: of the channels; -1: per tensor."""

    KIND = "quantize"

    dtype: str = "quint8"
    sizes: tuple = ()
    axis: int = -1
    values: str = "normal"
    memory: str = "contiguous"

    @classmethod
    def draw(cls, rng):
        sizes = tuple(int(v) for v in rng.integers(1, 9, int(rng.integers(1, 6))))
        if chance(rng, 0.05):
            sizes = (0, *sizes[1:])
        if chance(rng, 0.2):
            sizes = (int(rng.integers(1, 3000)),)
        axis = int(rng.integers(0, len(sizes))) if chance(rng, 0.5) else -1
        # Per channel, PyTorch takes other orders of memory than these two for each other.
        memory = choice(rng, ("contiguous", "permuted", "strided")) if axis < 0 else "contiguous"
        return cls(
            seed=int(rng.integers(2**31)), dtype=choice(rng, tuple(DTYPES)), sizes=sizes, axis=axis,
            values=choice(rng, VALUES), memory=memory,
        )

    def group(self):
        return f"quantize_per_{'tensor' if self.axis < 0 else 'channel'}, {self.dtype}"

    def features(self):
        return {self.group(), f"values {self.values}", f"memory {self.memory}"}

    def check(self, result):
        rng = np.random.default_rng([self.seed, 1])
        low, high = DTYPES[self.dtype]
        count = 1 if self.axis < 0 else self.sizes[self.axis]
        scales = np.exp(rng.uniform(-8, 3, count)) if rng.random() < 0.5 else 2.0 ** rng.integers(-7, 4, count)
        # PyTorch adds zero points of qint32 in float32 (docs/differences.md, Arithmetic): these are exact there.
        zero_points = rng.integers(max(low, -500), min(high, 500) + 1, count)
        if self.values in ("huge", "infinite"):
            # Where x / scale + zero_point passes 2^31, PyTorch wraps (docs/differences.md, Arithmetic).
            zero_points[:] = 0
        x = self._floats(rng, scales)
        their_dtype, our_dtype = getattr(torch, self.dtype), getattr(qconv, self.dtype)
        mine = tensors.laid_out(x, self.memory)
        if self.axis < 0:
            scale, zero_point = float(scales[0]), int(zero_points[0])
            theirs = torch.quantize_per_tensor(mine, scale, zero_point, their_dtype)
            ours = qconv.quantize_per_tensor(qconv.from_torch(mine), scale, zero_point, our_dtype)
        else:
            theirs = torch.quantize_per_channel(
                mine, torch.from_numpy(scales), torch.from_numpy(zero_points), self.axis, their_dtype
            )
            ours = qconv.quantize_per_channel(
                qconv.from_torch(mine), scales.tolist(), zero_points.tolist(), self.axis, our_dtype
            )
        tensors.same_tensor(result, "quantize", theirs, ours, strides=False)
        tensors.same_tensor(result, "dequantize", theirs.dequantize(), ours.dequantize(), strides=False)
        tensors.same_tensor(
            result, "dequantize of PyTorch's", theirs.dequantize(), qconv.from_torch(theirs).dequantize(), strides=False
        )

    def _floats(self, rng, scales):
        view = [1] * len(self.sizes)
        if self.axis >= 0:
            view[self.axis] = -1
        steps = {
            "normal": lambda: rng.normal(0, 150, self.sizes),
            "halves": lambda: rng.integers(-700, 700, self.sizes) / 2.0,
            # Not 0, whose neighbours are NaN.
            "near_halves": lambda: (2 * rng.integers(-350, 350, self.sizes) + 1) / 2.0,
            "huge": lambda: rng.normal(0, 1e12, self.sizes),
            "tiny": lambda: rng.normal(0, 1e-30, self.sizes),
            "infinite": lambda: rng.choice([-math.inf, -1.0, 0.0, 1.0, math.inf], self.sizes),
        }[self.values]()
        x = (np.asarray(steps) * scales.reshape(view)).astype(np.float32)
        if self.values == "near_halves":
            x = (x.view(np.int32) + rng.integers(-2, 3, self.sizes).astype(np.int32)).view(np.float32)
        return x
