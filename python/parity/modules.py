"""Quantized modules: torch.ao.nn.quantized, its fused and dynamic forms, against qconv.nn's of the same names."""

import dataclasses

import numpy as np
import torch
import torch.ao.nn.intrinsic.quantized as nniq
import torch.ao.nn.quantized as nnq
import torch.ao.nn.quantized.dynamic as nnqd

import qconv
import qconv.torch

from . import tensors
from .convolution import Convolution, chance, choice, draw_fields, runs_on_onednn
from .numbers import draw_numbers, next_to_ties
from .operators import ENGINES, can_switch, draw_floats, has_rule, rule_of, same_floats

# Family of a module: PyTorch's package of it, qconv's, and what the names of classes start with.
FAMILIES = {
    "quantized": (nnq, qconv.nn.quantized, "Conv"),
    "relu": (nniq, qconv.nn.intrinsic.quantized, "ConvReLU"),
    "add": (nniq, qconv.nn.intrinsic.quantized, "ConvAdd"),
    "add_relu": (nniq, qconv.nn.intrinsic.quantized, "ConvAddReLU"),
    "dynamic": (nnqd, qconv.nn.quantized.dynamic, "Conv"),
}

# Indices into __getstate__ of what is not a plain value.
WEIGHT, BIAS = 10, 11


def class_names(family, op):
    """(PyTorch's class, qconv's class) of a family for an operator."""
    theirs, ours, start = FAMILIES[family]
    name = f"{start}{'Transpose' if 'transpose' in op else ''}{op[-2:]}"
    return getattr(theirs, name), getattr(ours, name)


@dataclasses.dataclass(frozen=True)
class ModuleCase(Convolution):
    """A quantized module of random weights: forward, state in both directions, and every way into qconv."""

    KIND = "module"

    family: str = "quantized"
    padding_mode: str = "zeros"

    @classmethod
    def draw(cls, rng):
        while True:
            family = choice(rng, ("quantized",) * 4 + ("relu", "relu", "add", "add_relu", "dynamic", "dynamic"))
            engine, operators = choice(rng, ENGINES), {}
            if family in ("add", "add_relu"):
                engine, operators = "onednn", {"operators": ("conv2d",)}
            elif family == "relu":
                operators = {"operators": ("conv1d", "conv2d", "conv3d")}
            fields = draw_fields(rng, engine, **operators)
            reflect = family in ("quantized", "relu") and fields["op"] in ("conv1d", "conv2d") and chance(rng, 0.25)
            case = cls(
                seed=int(rng.integers(2**31)), **fields, family=family, padding_mode="reflect" if reflect else "zeros"
            )
            if engine == "qnnpack":  # it makes a bias of zeros for none (docs/differences.md, Operators)
                case = dataclasses.replace(case, bias=True)
            # A state needs the weights back. What is reflected has to be there.
            if can_switch(case) and (not reflect or (case.n > 0 and all(p < i for p, i in zip(case.p, case.i)))):
                return case

    def group(self):
        theirs, _ = class_names(self.family, self.op)
        package = theirs.__module__.split("torch.ao.nn.")[1].split(".modules")[0]
        return f"{package}.{theirs.__name__}, {self.engine}{' (oneDNN)' if runs_on_onednn(self) else ''}"

    def features(self):
        return super().features() | {f"module {self.family}", f"padding mode {self.padding_mode}"}

    def make(self, kind):
        """A new module of either library's class."""
        arguments = dict(stride=self.s, padding=self.p, dilation=self.d)
        if self.transposed:
            arguments["output_padding"] = self.o
        kernel = self.f
        if self.ndim == 1:
            arguments = {name: value[0] for name, value in arguments.items()}
            kernel = kernel[0]
        if not self.transposed:
            arguments["padding_mode"] = self.padding_mode
        return kind(self.c, self.k, kernel, groups=self.g, bias=self.bias, **arguments)

    def check(self, result):
        torch.backends.quantized.engine = self.engine
        numbers = draw_numbers(self)
        inputs = self._inputs(numbers)
        their_class, our_class = class_names(self.family, self.op)
        weight, bias = tensors.weight(self, numbers), tensors.bias(numbers)

        def new():  # for every run: QNNPACK's packed weights keep multipliers of the run before
            module = self.make(their_class)
            module.set_weight_bias(weight, bias)
            module.scale, module.zero_point = numbers.y_scale, numbers.y_zero_point
            return module.eval()

        theirs, ours = new(), self.make(our_class).eval()
        ours.set_weight_bias(qconv.from_torch(weight), None if bias is None else qconv.from_torch(bias), rule=rule_of(self))
        self._check_state(result, theirs, ours)
        ours.scale = theirs.scale  # what was loaded went through float32
        want = new()(*inputs())
        reduce_range = {"reduce_range": False} if self.family == "dynamic" and self.engine == "qnnpack" else {}
        got = ours(*map(qconv.from_torch, inputs()), **reduce_range)
        self._same(result, "forward", numbers, want, qconv.to_torch(got))
        if reduce_range:  # QNNPACK ignores it, and the ways below have no such argument (docs/differences.md, Operators)
            return
        converted = qconv.torch.convert(torch.nn.ModuleDict({"conv": theirs}))["conv"]
        self._same(result, "forward after convert()", numbers, want, converted(*inputs()))
        with qconv.torch.kernels():
            switched = new()(*inputs())
        self._same(result, "forward in kernels()", numbers, want, switched)

    def _inputs(self, numbers):
        """A function that makes the tensors to call the module with, new ones each time: PyTorch adds in place."""
        if self.family == "dynamic":
            x = tensors.laid_out(draw_floats(self, numbers, "normal"), "channels_last")
            return lambda: (x,)
        x = tensors.quantized(tensors.laid_out(numbers.x, self.memory), [numbers.x_scale], [numbers.x_zero_point])
        if self.family in ("quantized", "relu"):
            return lambda: (x,)
        integers = np.random.default_rng([self.seed, 2]).integers(0, 256, self.output_sizes).astype(np.uint8)

        def with_addend():
            addend = tensors.laid_out(integers.copy(), "channels_last")
            return x, tensors.quantized(addend, [numbers.y_scale * 0.5], [77])

        return with_addend

    def _same(self, result, what, numbers, theirs, ours):
        if self.family == "dynamic":
            same_floats(self, result, what, theirs, ours)
            return
        adds = self.family in ("add", "add_relu")
        undecided = None
        if self.padding_mode != "zeros" and not has_rule(self):
            undecided = np.True_  # the accumulators at hand are those of zero padding
        elif adds:
            integers = np.random.default_rng([self.seed, 2]).integers(0, 256, self.output_sizes)
            undecided = next_to_ties(self, numbers, (integers - 77.0) * 0.5)
        elif not has_rule(self):
            undecided = next_to_ties(self, numbers)
        tensors.same_tensor(result, what, theirs, ours, undecided, strides=not adds)

    def _check_state(self, result, theirs, ours):
        """state_dict there and back, __getstate__, and what a module prints."""
        state = {name: None if value is None else value.detach() for name, value in theirs.state_dict().items()}
        ours.load_state_dict({name: None if value is None else qconv.from_torch(value) for name, value in state.items()})
        result.equal("loaded scale", float(np.float32(theirs.scale)), ours.scale)
        result.equal("loaded zero point", theirs.zero_point, ours.zero_point)
        back = {name: None if value is None else qconv.to_torch(value) for name, value in ours.state_dict().items()}
        same_state(result, "state_dict", state, back)
        again = self.make(type(theirs))
        again.load_state_dict(back)
        again.eval()
        same_state(result, "state_dict loaded again", state, dict(again.state_dict()))
        result.equal("name", theirs._get_name(), ours._get_name())
        result.equal("extra_repr", again.extra_repr(), ours.extra_repr())
        their_tuple, our_tuple = again.__getstate__(), ours.__getstate__()
        # The rounding, which PyTorch has in a global (docs/differences.md, Modules).
        rule = ("qnnpack",) if self.engine == "qnnpack" else ()
        result.equal("what follows in __getstate__", rule, our_tuple[len(their_tuple) :])
        for index, (mine, yours) in enumerate(zip(their_tuple, our_tuple)):
            if index not in (WEIGHT, BIAS):
                result.equal(f"__getstate__[{index}]", mine, yours)
        same_state(
            result, "__getstate__", dict(weight=their_tuple[WEIGHT], bias=their_tuple[BIAS]),
            dict(weight=qconv.to_torch(our_tuple[WEIGHT]), bias=our_tuple[BIAS] and qconv.to_torch(our_tuple[BIAS])),
        )


def same_state(result, what, theirs, ours):
    """Two dicts of torch tensors or None."""
    result.equal(f"{what}: keys", sorted(theirs), sorted(ours))
    for name in theirs:
        mine, yours = theirs[name], ours.get(name)
        if mine is None or yours is None:
            result.equal(f"{what}: {name} is None", mine is None, yours is None)
        else:
            tensors.same_tensor(result, f"{what}: {name}", mine.detach(), yours, strides=False)
