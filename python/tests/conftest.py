import importlib.util

import numpy
import pytest

import qconv

# What needs PyTorch is tested where PyTorch is: `make parity`.
collect_ignore = [] if importlib.util.find_spec("torch") else ["torch_networks"]


@pytest.fixture
def rng():
    return numpy.random.default_rng(7)


@pytest.fixture
def quantized(rng):
    """quantized(*sizes): a quint8 tensor of random values."""

    def make(*sizes, scale=0.03, zero_point=117, dtype=qconv.quint8):
        values = rng.uniform(-3, 3, sizes).astype("float32")
        return qconv.quantize_per_tensor(values, scale, zero_point, dtype)

    return make


@pytest.fixture
def weight(rng):
    """weight(*sizes, axis=0): a qint8 weight, per channel along `axis`, or per tensor when that is None."""

    def make(*sizes, axis=0):
        values = rng.normal(0, 0.5, sizes).astype("float32")
        if axis is None:
            return qconv.quantize_per_tensor(values, 0.02, 0, qconv.qint8)
        channels = sizes[axis]
        return qconv.quantize_per_channel(values, rng.uniform(0.01, 0.03, channels), [0] * channels, axis, qconv.qint8)

    return make
