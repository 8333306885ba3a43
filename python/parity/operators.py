"""The operators of torch.ops.quantized: convolutions with and without ReLU, with an addend, and on float tensors."""

import dataclasses
import math

import numpy as np
import torch

import qconv
import qconv.torch

from . import tensors
from .convolution import Convolution, chance, choice, draw_fields, runs_on_onednn
from .numbers import draw_numbers, next_to_ties

# FBGEMM is what qconv promises to equal, so it gets most cases.
ENGINES = ("fbgemm",) * 6 + ("qnnpack",) * 3 + ("x86", "onednn")


def has_rule(case):
    """Whether PyTorch rounds by one of qconv's rules, everywhere (docs/differences.md, Arithmetic).

    Not in oneDNN, and not where compilers have contracted a product and a sum in one kernel and not in the others: FBGEMM's
    depthwise kernels with weights per tensor and a bias, and QNNPACK's for depthwise kernels of 27 taps.
    """
    if runs_on_onednn(case):
        return False
    if case.engine == "qnnpack":
        return not (case.ndim == 3 and case.g == case.c == case.k and math.prod(case.f) == 27)
    return not (case.is_fbgemm_depthwise() and case.bias and not case.per_channel)


def rule_of(case):
    """qconv's name of the rule that the engine follows."""
    return "qnnpack" if case.engine == "qnnpack" else "fbgemm"


def can_switch(case):
    """Whether PyTorch gives its packed weights away again, which qconv.torch.kernels() needs."""
    qnnpack_3d = case.engine == "qnnpack" and case.ndim == 3
    return not qnnpack_3d and not (case.is_fbgemm_direct() and not runs_on_onednn(case))


def pack(case, weight, bias):
    """PyTorch's packed parameters. Fresh ones for every run: QNNPACK's keep multipliers of the run before."""
    torch.backends.quantized.engine = case.engine
    return getattr(torch.ops.quantized, f"{case.op}_prepack")(weight, bias, *case.geometry())


def pack_ours(case, weight, bias):
    prepack = getattr(qconv.ops, f"{case.op}_prepack")
    bias = None if bias is None else qconv.from_torch(bias)
    return prepack(qconv.from_torch(weight), bias, *case.geometry(), rule=rule_of(case))


@dataclasses.dataclass(frozen=True)
class OperatorCase(Convolution):
    """conv{1,2,3}d, conv_transpose{1,2,3}d and the forms with ReLU, quantized tensors in and out."""

    KIND = "operator"

    relu: bool = False
    switched: bool = False  # also through qconv.torch.kernels()

    @classmethod
    def draw(cls, rng):
        fields = draw_fields(rng, choice(rng, ENGINES))
        relu = "transpose" not in fields["op"] and chance(rng, 0.4)
        case = cls(seed=int(rng.integers(2**31)), **fields, relu=relu, switched=chance(rng, 0.34))
        return dataclasses.replace(case, switched=case.switched and can_switch(case))

    def group(self):
        return f"{self.op}{'_relu' if self.relu else ''}, {self.engine}{' (oneDNN)' if runs_on_onednn(self) else ''}"

    def features(self):
        names = super().features()
        return names | ({"torch.ops switched"} if self.switched else set())

    def check(self, result):
        numbers = draw_numbers(self)
        x, weight, bias = tensors.input_and_weight(self, numbers)
        name = f"{self.op}_relu" if self.relu else self.op
        operator = getattr(torch.ops.quantized, name)
        output = (numbers.y_scale, numbers.y_zero_point)
        packed = pack(self, weight, bias)
        theirs = operator(x, packed, *output)
        ours_packed = pack_ours(self, weight, bias)
        ours = getattr(qconv.ops, name)(qconv.from_torch(x), ours_packed, *output)
        undecided = None if has_rule(self) else next_to_ties(self, numbers)
        tensors.same_tensor(result, name, theirs, ours, undecided)
        if self.switched:
            with qconv.torch.kernels():
                through = operator(x, packed, *output)
            tensors.same_tensor(result, f"{name} in kernels()", theirs, through, undecided)
            self._check_getters(result, packed, ours_packed)

    def _check_getters(self, result, packed, ours):
        if self.ndim > 1:  # PyTorch has none for one dimension
            for what in ("stride", "padding", "output_padding", "dilation", "groups", "transpose"):
                theirs = getattr(torch.ops.quantized, f"{self.op}_{what}")(packed)
                result.equal(f"{self.op}_{what}", theirs, getattr(qconv.ops, f"{self.op}_{what}")(ours))
        theirs, their_bias = packed._get_method("unpack")()
        if self.ndim == 1:
            theirs = theirs.squeeze(2)
        weight, bias = getattr(qconv.ops, f"{self.op}_unpack")(ours)
        weight = qconv.to_torch(weight)
        result.equal("unpacked weight", theirs.int_repr().contiguous().numpy(), weight.int_repr().contiguous().numpy())
        # QNNPACK makes a bias of zeros for none (docs/differences.md, Operators).
        if self.bias:
            result.equal("unpacked bias", their_bias.detach().numpy(), bias.numpy())


@dataclasses.dataclass(frozen=True)
class AddCase(Convolution):
    """conv2d_add and conv2d_add_relu. PyTorch has them in oneDNN alone, whose order of operations is not ours."""

    KIND = "add"

    relu: bool = False
    switched: bool = False

    @classmethod
    def draw(cls, rng):
        fields = draw_fields(rng, "onednn", ("conv2d",))
        return cls(seed=int(rng.integers(2**31)), **fields, relu=chance(rng, 0.5), switched=chance(rng, 0.34))

    def group(self):
        return f"conv2d_add{'_relu' if self.relu else ''}, onednn (oneDNN)"

    def features(self):
        return super().features() | ({"torch.ops switched"} if self.switched else set())

    def check(self, result):
        numbers = draw_numbers(self)
        x, weight, bias = tensors.input_and_weight(self, numbers)
        rng = np.random.default_rng([self.seed, 2])
        integers = rng.integers(0, 256, self.output_sizes).astype(np.uint8)
        scale, zero_point = float(numbers.y_scale * rng.uniform(0.1, 2)), int(rng.integers(0, 256))
        output = (numbers.y_scale, numbers.y_zero_point)
        name = "conv2d_add_relu" if self.relu else "conv2d_add"
        operator = getattr(torch.ops.quantized, name)
        packed = pack(self, weight, bias)

        def addend():  # a new one for each: PyTorch writes its result there
            return tensors.quantized(tensors.laid_out(integers.copy(), "channels_last"), [scale], [zero_point])

        theirs = operator(x, addend(), packed, *output)
        ours = getattr(qconv.ops, name)(
            qconv.from_torch(x), qconv.from_torch(addend()), pack_ours(self, weight, bias), *output
        )
        added = (integers.astype(np.float64) - zero_point) * (scale / numbers.y_scale)
        # PyTorch's result lies in the addend's memory.
        tensors.same_tensor(result, name, theirs, ours, next_to_ties(self, numbers, added), strides=False)
        if self.switched:
            with qconv.torch.kernels():
                through = operator(x, addend(), packed, *output)
            tensors.same_tensor(result, f"{name} in kernels()", qconv.to_torch(ours), through)


def draw_floats(case, numbers, values):
    """A float input for a dynamic operator. `numbers` gets weights and a bias that leave most outputs inside its range."""
    rng = np.random.default_rng([case.seed, 3])
    normal = rng.normal(rng.uniform(-2, 2), 1, case.input_sizes)
    magnitude = float(np.exp(rng.uniform(-8, 4)))
    x = {
        "normal": lambda: normal * magnitude,
        "positive": lambda: np.abs(normal) * magnitude,
        "negative": lambda: -np.abs(normal) * magnitude,
        "tiny": lambda: normal * 1e-7,
        "huge": lambda: normal * 1e8,
        "constant": lambda: np.full(case.input_sizes, normal.flat[0] if normal.size else 0.0),
        "zeros": lambda: np.zeros(case.input_sizes),
        # The scale becomes a power of two, so halves are exact ties.
        "ties": lambda: np.concatenate([[0.0, 255.0], rng.integers(0, 511, max(normal.size - 2, 0)) / 2.0])[
            : normal.size
        ].reshape(case.input_sizes) * 0.125,
    }[values]().astype(np.float32)
    # Outputs have the input's range.
    fan_in = max(case.c // case.g * int(np.prod(case.f)), 1)
    shrink = 1.0 / (64.0 * fan_in**0.5 * float(np.mean(numbers.w_scales)))
    numbers.w_scales = [scale * shrink for scale in numbers.w_scales]
    if numbers.bias is not None:
        reach = max(float(np.abs(x).max(initial=0)), 1e-3)
        numbers.bias = (rng.normal(0, 0.3, case.k) * reach).astype(np.float32)
    return x


def same_floats(case, result, what, theirs, ours):
    """Compares outputs of dynamic operators; where there is no rule, in steps of their scale."""
    if has_rule(case):
        tensors.same_tensor(result, what, theirs, ours)
        return
    # The smallest distance between two values.
    values = np.unique(np.concatenate([theirs.numpy().ravel(), ours.numpy().ravel()]))
    gaps = np.diff(values)
    step = float(gaps[gaps > gaps.max(initial=0) * 1e-3].min(initial=np.inf)) if gaps.size else 1.0
    result.near(
        what, *(np.rint(y.contiguous().numpy().astype(np.float64) / step).astype(np.int64) for y in (theirs, ours))
    )


@dataclasses.dataclass(frozen=True)
class DynamicCase(Convolution):
    """The dynamic forms: float tensors in and out, parameters from the input's range."""

    KIND = "dynamic"

    reduce_range: bool = False
    values: str = "normal"
    switched: bool = False

    @classmethod
    def draw(cls, rng):
        fields = draw_fields(rng, choice(rng, ENGINES))
        values = choice(rng, ("normal", "normal", "positive", "negative", "tiny", "huge", "constant", "zeros", "ties"))
        case = cls(
            seed=int(rng.integers(2**31)), **fields, reduce_range=chance(rng, 0.5), values=values, switched=chance(rng, 0.34)
        )
        reduce_range = case.reduce_range or case.may_saturate()
        return dataclasses.replace(case, reduce_range=reduce_range, switched=case.switched and can_switch(case))

    def group(self):
        return f"{self.op}_dynamic, {self.engine}{' (oneDNN)' if runs_on_onednn(self) else ''}"

    def features(self):
        names = super().features() - {f"numbers {self.numbers}"}
        names.add(f"values {self.values}")
        tests = {"reduce_range": self.reduce_range, "torch.ops switched": self.switched}
        return names | {name for name, true in tests.items() if true}

    def check(self, result):
        numbers = draw_numbers(self)
        values = draw_floats(self, numbers, self.values)
        x = tensors.laid_out(values, self.memory)
        # FBGEMM takes the range of what lies in memory, not of the tensor (docs/differences.md, Operators).
        their_x = x if self.engine in ("qnnpack", "onednn") else x.contiguous()
        weight, bias = tensors.weight(self, numbers), tensors.bias(numbers)
        name = f"{self.op}_dynamic"
        operator = getattr(torch.ops.quantized, name)
        packed = pack(self, weight, bias)
        theirs = operator(their_x, packed, self.reduce_range)
        # QNNPACK ignores reduce_range (docs/differences.md, Operators).
        reduce_range = self.reduce_range and self.engine != "qnnpack"
        ours = getattr(qconv.ops, name)(qconv.from_torch(x), pack_ours(self, weight, bias), reduce_range)
        same_floats(self, result, name, theirs, qconv.to_torch(ours))
        if self.switched:
            with qconv.torch.kernels():
                through = operator(x, packed, reduce_range)
            same_floats(self, result, f"{name} in kernels()", theirs, through)
