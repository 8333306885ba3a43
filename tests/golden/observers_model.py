"""Models of PyTorch 2.5.1's observers in numpy: the rules that observers.json must obey."""

import numpy as np

from numerics_model import fma

F32 = np.float32
BINS = 2048
UPSAMPLE = 16
LIMITS = {"quint8": (0, 255), "qint8": (-128, 127), "qint32": (-(2**31), 2**31 - 1)}


def quantized_range(dtype, reduce_range, quant_min, quant_max):
    """(qmin, qmax) of an observer. reduce_range halves a custom range, or takes one bit from an 8-bit type."""
    if quant_min is not None and quant_max is not None:
        return (quant_min // 2, quant_max // 2) if reduce_range else (quant_min, quant_max)
    low, high = LIMITS[dtype]
    return (low // 2, high // 2) if reduce_range and dtype != "qint32" else (low, high)


def calculate_qparams(low, high, settings):
    """(scales, zero_points) as arrays. low and high are float32 arrays."""
    qmin, qmax = quantized_range(*(settings[k] for k in ("dtype", "reduce_range", "quant_min", "quant_max")))
    low, high = np.atleast_1d(np.asarray(low, dtype=F32)), np.atleast_1d(np.asarray(high, dtype=F32))
    eps = F32(settings["eps"])
    if settings["qscheme"].endswith("float_qparams"):
        scale = (high - low) / F32(qmax - qmin)
        scale = np.where(scale > eps, scale, F32(1))
        return scale, -low / scale
    low, high = np.minimum(low, F32(0)), np.maximum(high, F32(0))
    if settings["qscheme"].endswith("symmetric"):
        scale = np.maximum(np.maximum(-low, high) / F32((qmax - qmin) / 2), eps)
        middle = 0
        if settings["dtype"] == "quint8":
            middle = 128 if settings["quant_min"] is None else (qmin + qmax) // 2
        return scale, np.full(scale.shape, middle)
    scale = np.maximum((high - low) / F32(qmax - qmin), eps)
    zero_point = qmin - np.rint(low / scale).astype(np.int64)
    return scale, np.clip(zero_point, qmin, qmax)


def linspace(low, high, steps):
    """steps + 1 points, from both ends to the middle, each with one fused multiply-add."""
    step = F32((high - low) / F32(steps))
    i = np.arange(steps + 1)
    return np.where(i < (steps + 1) // 2, fma(step, i.astype(F32), low), fma(-step, (steps - i).astype(F32), high))


def histc(x, low, high):
    """Counts of x in BINS equal bins. A range of zero width becomes one of width 2 around the value."""
    if low == high:
        low, high = F32(low - F32(1)), F32(high + F32(1))
    position = ((x - low) * F32(BINS)).astype(F32) / F32(high - low)
    return np.bincount(np.minimum(position.astype(np.int64), BINS - 1), minlength=BINS).astype(F32)


class Histogram:
    """Running histogram: histogram (float32 counts), low, high."""

    def __init__(self):
        self.histogram = None
        self.low = self.high = None

    def observe(self, x):
        """Adds one batch. Infinite elements are dropped; an empty batch changes nothing."""
        x = x.ravel()
        x = x[~np.isinf(x)]
        if not x.size:
            return
        low, high = x.min(), x.max()
        if self.histogram is None:
            self.histogram, self.low, self.high = histc(x, low, high), low, high
            return
        low, high = min(low, self.low), max(high, self.high)
        update = histc(x, low, high)
        if low == self.low and high == self.high:
            self.histogram = self.histogram + update
        elif self.low == self.high:  # PyTorch weighs the old value by the size of the new batch
            self.histogram = histc(np.asarray([self.low]), low, high) * update.sum() + update
        else:
            self.histogram = update + self._resampled(low, high)
        self.low, self.high = low, high

    def _resampled(self, low, high):
        """The old histogram on the new range: every bin is split in UPSAMPLE parts, each part goes by its middle."""
        parts = np.repeat(self.histogram, UPSAMPLE) / F32(UPSAMPLE)
        part_size = F32((self.high - self.low) / F32(BINS * UPSAMPLE))
        middles = linspace(self.low, self.high, BINS * UPSAMPLE)[:-1] + F32(F32(0.5) * part_size)
        bins = np.clip(np.searchsorted(linspace(low, high, BINS), middles, side="right") - 1, 0, BINS - 1)
        resampled = np.zeros(BINS, dtype=F32)
        np.add.at(resampled, bins, parts)  # in order, each sum rounded to float32
        return resampled

    def _error(self, start, end):
        """L2 error of quantizing the histogram to 256 levels over the bins [start, end]."""
        width = (float(self.high) - float(self.low)) / BINS
        level = width * (end - start + 1) / 256
        if level == 0:
            return 0.0
        begin = ((np.arange(BINS) - start).astype(F32) * F32(width)).astype(F32)
        finish = (begin + F32(width)).astype(F32)
        first = np.clip(np.floor(begin / F32(level)), 0, 255).astype(F32)
        last = np.clip(np.floor(finish / F32(level)), 0, 255).astype(F32)
        density = (self.histogram / F32(width)).astype(np.float64)

        def norm(low, high):
            return density * (np.float64(high) ** 3 - np.float64(low) ** 3) / 3

        half = level / 2
        total = norm(begin - (first + F32(0.5)) * F32(level), half)
        total += (last - first - 1) * norm(-half, half)
        total += norm(-half, finish - (last * F32(level) + F32(half)))
        return float(total.sum())

    def search(self):
        """(low, high) that make the smallest error, by moving the side with the longer tail inwards."""
        width = F32((self.high - self.low) / F32(BINS))
        total = float(self.histogram.sum(dtype=np.float64))
        cumulative = np.cumsum(self.histogram, dtype=F32)
        alpha, beta, start, end, smallest = 0.0, 1.0, 0, BINS - 1, float("inf")
        while alpha < beta:
            next_alpha, next_beta = alpha + 1e-5, beta - 1e-5
            left, right = start, end
            while left < end and cumulative[left] < F32(next_alpha * total):
                left += 1
            while right > start and cumulative[right] > F32(next_beta * total):
                right -= 1
            next_start, next_end = start, end
            if left - start > end - right:
                next_start, alpha = left, next_alpha
            else:
                next_end, beta = right, next_beta
            if (next_start, next_end) == (start, end):
                continue
            error = self._error(next_start, next_end)
            if error > smallest:
                break
            smallest, start, end = error, next_start, next_end
        return (
            F32(self.low + F32(width * F32(start))), F32(self.low + F32(width * F32(end + 1)))
        )
