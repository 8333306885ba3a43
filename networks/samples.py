"""Seeded inputs for the networks: smooth random pictures, sounds and volumes, with a label where a network names things.

White noise would be no judge: it has no structure that a network could find, and its range is unlike that of real data.
"""

from __future__ import annotations

import zlib

import numpy as np

KINDS = 8  # different things that a picture can show
TRAINING, CALIBRATION, TEST = range(3)  # sets of samples that share no sample


def interpolation(coarse: int, fine: int) -> np.ndarray:
    """The matrix that stretches `coarse` values over `fine` places, linearly between them."""
    places = np.linspace(0, coarse - 1, fine)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(coarse))).astype(np.float32)


def smooth(random: np.random.Generator, channels: int, spatial: tuple[int, ...]) -> np.ndarray:
    """Random fields of (channels, *spatial), of mean 0 and deviation 1: coarse shapes, and finer ones on them."""
    total = np.zeros((channels, *spatial), np.float32)
    for divisor, weight in ((48, 1.0), (12, 0.5), (3, 0.25)):
        coarse = [max(2, 1 + size // divisor) for size in spatial]
        field = random.standard_normal((channels, *coarse), np.float32)
        for axis, size in enumerate(spatial):
            matrix = interpolation(coarse[axis], size)
            field = np.moveaxis(np.tensordot(matrix, field, (1, axis + 1)), 0, axis + 1)
        total += weight * field
    return (total - total.mean()) / total.std()


def generator(name: str, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


def colours(kinds: int, channels: int) -> np.ndarray:
    """A level per kind and channel: with enough channels the corners of a cube, else a scale of grey."""
    if 2**channels < kinds:
        return np.repeat(np.linspace(-1.5, 1.5, kinds, dtype=np.float32)[:, None], channels, 1)
    bits = np.arange(kinds)[:, None] >> (np.arange(channels) % 3) & 1
    return (2.0 * bits - 1).astype(np.float32)


def make(name: str, size: tuple[int, ...], task: str, which: int, count: int, kinds: int = KINDS) -> dict[str, np.ndarray]:
    """`images` (count, *size) and `labels`: one per sample for "class", one per place for "pixel", none for "signal".

    Every kind of thing has a pattern of its own. A sample for "class" is the pattern of its kind, moved a little and with
    noise on it; one for "pixel" is a patchwork of all kinds, each in its colour.
    """
    channels, *rest = size
    spatial = tuple(rest)
    if task == "class":
        patterns = [smooth(generator(name, 0, kind), channels, spatial) for kind in range(kinds)]
    images = np.empty((count, *size), np.float32)
    labels = np.zeros((count, *spatial) if task == "pixel" else (count,), np.int64)
    for number in range(count):
        random = generator(name, 1, which, number)
        images[number] = smooth(random, channels, spatial)
        if task == "class":
            labels[number] = kind = number % kinds
            shift = [int(random.integers(-(s // 32), s // 32 + 1)) for s in spatial]
            images[number] *= 0.4
            images[number] += 0.9 * np.roll(patterns[kind], shift, range(1, len(shift) + 1))
        elif task == "pixel":
            labels[number] = kind = smooth(random, kinds, spatial).argmax(0)
            images[number] *= 0.4
            images[number] += np.moveaxis(colours(kinds, channels)[kind], -1, 0)
    return {"images": images, "labels": labels} if task != "signal" else {"images": images}
