"""Observers and the presets of QConfig: after the same batches, the same state and the same parameters, to the bit."""

import dataclasses
import math

import numpy as np
import torch
import torch.ao.quantization as tq

import qconv

from .case import Case
from .convolution import chance, choice
from .tensors import laid_out

PER_TENSOR = ("MinMaxObserver", "MovingAverageMinMaxObserver", "HistogramObserver")
PER_CHANNEL = ("PerChannelMinMaxObserver", "MovingAveragePerChannelMinMaxObserver")

# Names of both libraries. A name with brackets is a call.
PRESETS = (
    "default_qconfig", "default_per_channel_qconfig", "default_symmetric_qnnpack_qconfig",
    "default_per_channel_symmetric_qnnpack_qconfig", "get_default_qconfig(fbgemm)", "get_default_qconfig(x86)",
    "get_default_qconfig(onednn)", "get_default_qconfig(qnnpack)",
)
BATCHES = ("normal", "growing", "shrinking", "positive", "negative", "heavy_tails", "relu", "constant", "zeros", "tiny", "huge",
           "empty_first", "infinite", "integers")


def kinds_for(histogram):
    """Kinds of batches: infinity is an error to min/max observers (docs/differences.md, Observers)."""
    return [kind for kind in BATCHES if kind != "infinite" or histogram]


def preset(library, name):
    """What a name stands for in torch.ao.quantization or qconv: "name" or "function(backend)" or "function(backend,number)"."""
    function, bracket, arguments = name.partition("(")
    if not bracket:
        return getattr(library, function)
    return getattr(library, function)(*(int(a) if a.isdigit() else a for a in arguments[:-1].split(",")))


def _batches(rng, kind, sizes, count):
    def normal(scale=1.0, mean=0.0):
        return rng.normal(mean, scale, sizes).astype(np.float32)

    magnitude = float(np.exp(rng.uniform(-4, 4)))
    make = {
        "normal": lambda i: normal(magnitude, rng.normal() * magnitude),
        "growing": lambda i: normal(magnitude * (i + 1) ** 2, i),
        "shrinking": lambda i: normal(magnitude / (i + 1) ** 2),
        "positive": lambda i: np.abs(normal(magnitude)),
        "negative": lambda i: -np.abs(normal(magnitude)) - np.float32(0.25),
        "heavy_tails": lambda i: (rng.standard_t(2, sizes) * magnitude).astype(np.float32),
        "relu": lambda i: np.maximum(normal(magnitude), 0),
        "constant": lambda i: np.full(sizes, magnitude if i == 0 else magnitude * rng.uniform(0.5, 2), np.float32),
        "zeros": lambda i: np.zeros(sizes, np.float32),
        "tiny": lambda i: normal(1e-12),
        "huge": lambda i: normal(1e12),
        "empty_first": lambda i: np.zeros((0, *sizes[1:]), np.float32) if i == 0 else normal(magnitude),
        "infinite": lambda i: np.where(rng.random(sizes) < 0.02, np.float32(np.inf), normal(magnitude)),
        "integers": lambda i: rng.integers(-8, 9, sizes).astype(np.float32),
    }[kind]
    return [make(i).astype(np.float32) for i in range(count)]


@dataclasses.dataclass(frozen=True)
class Observing(Case):
    """What some batches are shown to."""

    sizes: tuple = ()
    count: int = 1
    batches: str = "normal"
    memory: str = "contiguous"

    @staticmethod
    def draw_data(rng, kinds):
        """Fields of random batches of these kinds."""
        sizes = tuple(int(v) for v in rng.integers(1, 9, int(rng.integers(2, 6))))
        if chance(rng, 0.1):
            sizes = (int(rng.integers(1, 20)), int(rng.integers(1, 800)))
        if math.prod(sizes) == 1:
            # Versions count a single value of 2^24 or more in different bins (docs/differences.md, Observers).
            kinds = [kind for kind in kinds if kind != "huge"]
        return dict(
            seed=int(rng.integers(2**31)), sizes=sizes, count=int(rng.integers(1, 6)), batches=choice(rng, kinds),
            memory=choice(rng, ("contiguous", "channels_last", "permuted")),
        )

    def data(self):
        """The batches as torch tensors."""
        rng = np.random.default_rng([self.seed, 1])
        memory = self.memory if len(self.sizes) > 2 else "contiguous"
        return [laid_out(batch, memory) for batch in _batches(rng, self.batches, self.sizes, self.count)]


def observe(theirs, ours, batches):
    """Shows both observers the batches."""
    for batch in batches:
        theirs(batch)
        ours.observe(qconv.from_torch(batch))


def same_observer(result, what, theirs, ours):
    """State and parameters."""
    result.equal(f"{what}: min_val", _flat(theirs.min_val), np.asarray(ours.min_val, np.float32).reshape(-1))
    result.equal(f"{what}: max_val", _flat(theirs.max_val), np.asarray(ours.max_val, np.float32).reshape(-1))
    if hasattr(theirs, "histogram"):
        result.equal(f"{what}: histogram", theirs.histogram.numpy(), np.asarray(ours.histogram, np.float32))
    their_scale, their_zero_point = theirs.calculate_qparams()
    scale, zero_point = (value.numpy() for value in ours.calculate_qparams())
    result.equal(f"{what}: scale", _flat(their_scale), scale)
    result.equal(f"{what}: zero point", _flat(their_zero_point).astype(np.int64), zero_point)


def _flat(tensor):
    return tensor.detach().reshape(-1).numpy()


@dataclasses.dataclass(frozen=True)
class ObserverCase(Observing):
    """One observer class with random settings."""

    KIND = "observer"

    name: str = "MinMaxObserver"
    dtype: str = "quint8"
    symmetric: bool = False
    reduce_range: bool = False
    narrow: int = 0  # how far quant_min and quant_max lie inside the dtype's range; 0: they are not given
    eps: float = 2.0**-23
    axis: int = 0
    averaging_constant: float = 0.01

    @classmethod
    def draw(cls, rng):
        name = choice(rng, PER_TENSOR + PER_CHANNEL)
        data = cls.draw_data(rng, kinds_for(name == "HistogramObserver"))
        dtype, symmetric = choice(rng, ("quint8", "qint8")), chance(rng, 0.5)
        case = cls(
            **data, name=name, dtype=dtype, symmetric=symmetric,
            # Symmetric and reduced does not go together for quint8 (docs/differences.md, Observers).
            reduce_range=chance(rng, 0.4) and not (symmetric and dtype == "quint8"),
            # The histogram's search has 256 steps whatever the range.
            narrow=choice(rng, (0, 0, 1, 28)), eps=choice(rng, (2.0**-23, 2.0**-12, 0.25)),
            axis=int(rng.integers(0, len(data["sizes"]))),
            averaging_constant=choice(rng, (0.01, 0.01, 0.3, 1.0)),
        )
        if case.axis == 0 and case.batches == "empty_first" and name in PER_CHANNEL:
            case = dataclasses.replace(case, batches="normal")  # an empty batch has other channels
        return case

    def group(self):
        return self.name

    def features(self):
        names = {f"batches {self.batches}", f"memory {self.memory}", f"{self.count} batches", self.dtype}
        tests = {"reduce_range": self.reduce_range, "symmetric": self.symmetric, "own range": self.narrow > 0}
        return names | {name for name, true in tests.items() if true}

    def check(self, result):
        scheme = f"per_{'tensor' if self.name in PER_TENSOR else 'channel'}_{'symmetric' if self.symmetric else 'affine'}"
        shared = dict(reduce_range=self.reduce_range, eps=self.eps)
        if self.narrow:
            low, high = (0, 255) if self.dtype == "quint8" else (-128, 127)
            # The range has to hold 0.
            shared.update(quant_min=min(low + self.narrow, 0), quant_max=high - self.narrow)
        if self.name in PER_CHANNEL:
            shared["ch_axis"] = self.axis
        if "MovingAverage" in self.name:
            shared["averaging_constant"] = self.averaging_constant
        theirs = getattr(tq, self.name)(dtype=getattr(torch, self.dtype), qscheme=getattr(torch, scheme), **shared)
        ours = getattr(qconv, self.name)(dtype=getattr(qconv, self.dtype), qscheme=scheme, **shared)
        observe(theirs, ours, self.data())
        same_observer(result, self.name, theirs, ours)


@dataclasses.dataclass(frozen=True)
class PresetCase(Observing):
    """Both observers of a preset: on activations in several batches, on one weight."""

    KIND = "preset"

    name: str = "default_qconfig"

    @classmethod
    def draw(cls, rng):
        name = choice(rng, PRESETS)
        histogram = name.startswith("get_default") or "symmetric_qnnpack" in name
        return cls(**cls.draw_data(rng, kinds_for(histogram)), name=name)

    def group(self):
        return self.name

    def features(self):
        return {f"batches {self.batches}", f"memory {self.memory}", f"{self.count} batches"}

    def check(self, result):
        torch.backends.quantized.engine = "fbgemm"
        theirs, ours = preset(tq, self.name), preset(qconv, self.name)
        observers = theirs.activation(), ours.activation()
        observe(*observers, self.data())
        same_observer(result, "activation", *observers)
        rng = np.random.default_rng([self.seed, 2])
        weight = torch.from_numpy(rng.normal(0, float(np.exp(rng.uniform(-5, 2))), self.sizes).astype(np.float32))
        observers = theirs.weight(), ours.weight()
        observe(*observers, [weight])
        same_observer(result, "weight", *observers)
