"""Float modules calibrated with the same data in both libraries, then from_float; and from_reference."""

import dataclasses

import numpy as np
import torch
import torch.ao.nn.intrinsic as nni
import torch.ao.nn.quantized.reference as nnqr
import torch.ao.quantization as tq

import qconv

from . import tensors
from .convolution import Convolution, choice, draw_fields, has_vnni
from .modules import class_names
from .numbers import Numbers, accumulators, next_to_ties
from .observing import PRESETS, observe, preset
from .operators import can_switch, has_rule

# Presets whose activations have 7 bits, so that FBGEMM's int16 sums do not saturate (docs/differences.md, Arithmetic).
REDUCED = ("default_qconfig", "default_per_channel_qconfig", "get_default_qconfig(fbgemm)", "get_default_qconfig(x86)")
# PyTorch refuses weights per channel of transposed convolutions.
TRANSPOSED = ("default_qconfig", "transposed(fbgemm)", "transposed(x86)", "get_default_qconfig(qnnpack)",
              "default_symmetric_qnnpack_qconfig")
WAYS = ("from_float", "from_float", "fused", "from_reference", "dynamic")


def _preset(library, name):
    if not name.startswith("transposed"):
        return preset(library, name)
    backend = name[len("transposed(") : -1]
    if library is qconv:
        return qconv.get_default_transposed_qconfig(backend)
    return tq.get_default_qconfig_mapping(backend).object_type_qconfigs[torch.nn.ConvTranspose2d]


@dataclasses.dataclass(frozen=True)
class ConversionCase(Convolution):
    """A float convolution and how it becomes a quantized one."""

    KIND = "conversion"

    way: str = "from_float"
    preset: str = "default_qconfig"
    batches: int = 1

    @classmethod
    def draw(cls, rng):
        while True:
            way = choice(rng, WAYS)
            operators = {"operators": ("conv1d", "conv2d", "conv3d")} if way == "fused" else {}
            fields = draw_fields(rng, "fbgemm", **operators)
            fields.update(n=max(fields["n"], 1), numbers="full", weight_zero_point=False, weight_memory="contiguous")
            case = cls(seed=int(rng.integers(2**31)), **fields, way=way, batches=int(rng.integers(1, 4)))
            name = choice(rng, TRANSPOSED if case.transposed else REDUCED if case.may_saturate() else PRESETS)
            if case.transposed and case.may_saturate():
                name = "default_qconfig"
            # In all but from_reference the preset says how weights are quantized.
            case = dataclasses.replace(case, preset=name, per_channel=case.per_channel and way == "from_reference")
            if can_switch(case) and (way != "dynamic" or has_vnni() or not case.may_saturate()):
                return case

    def group(self):
        how = self.preset if self.way in ("from_float", "fused") else self.way
        return f"{'fused ' if self.way == 'fused' else ''}{'ConvTranspose' if self.transposed else 'Conv'}{self.op[-2:]}, {how}"

    def features(self):
        return (super().features() - {f"numbers {self.numbers}"}) | {f"conversion {self.way}"}

    def check(self, result):
        torch.backends.quantized.engine = "fbgemm"
        rng = np.random.default_rng([self.seed, 1])
        magnitude = float(np.exp(rng.uniform(-3, 2)))
        weight = (rng.normal(0, 1, self.weight_sizes) * magnitude).astype(np.float32)
        bias = (rng.normal(0, 3, self.k) * magnitude).astype(np.float32) if self.bias else None
        theirs, ours = self._float_modules(weight, bias)
        shape = (max(self.n, 1), self.c, *self.i)
        batches = [rng.normal(0.3, 1 + i, shape).astype(np.float32) for i in range(self.batches)]
        convert = {"from_reference": self._from_reference, "dynamic": self._dynamic}.get(self.way, self._from_float)
        convert(result, rng, theirs, ours, batches)

    def _float_modules(self, weight, bias):
        """The same convolution in both libraries."""
        arguments = dict(stride=self.s, padding=self.p, dilation=self.d)
        if self.transposed:
            arguments["output_padding"] = self.o
        if self.ndim == 1:
            arguments = {name: value[0] for name, value in arguments.items()}
        name = f"Conv{'Transpose' if self.transposed else ''}{self.op[-2:]}"
        kernel = self.f if self.ndim > 1 else self.f[0]
        made = [
            getattr(library, name)(self.c, self.k, kernel, groups=self.g, bias=self.bias, **arguments)
            for library in (torch.nn, qconv.nn)
        ]
        theirs, ours = made
        theirs.weight.data = torch.from_numpy(weight)
        ours.weight = weight
        if bias is not None:
            theirs.bias.data = torch.from_numpy(bias)
            ours.bias = bias
        return theirs.eval(), ours.eval()

    def _from_float(self, result, rng, theirs, ours, batches):
        fused = self.way == "fused"
        if fused:
            theirs = getattr(nni, f"ConvReLU{self.ndim}d")(theirs, torch.nn.ReLU()).eval()
            ours = getattr(qconv.nn.intrinsic, f"ConvReLU{self.ndim}d")(ours)
        config = _preset(tq, self.preset)
        network = torch.nn.Sequential(tq.QuantStub(), theirs).eval()
        network.qconfig = config
        tq.prepare(network, inplace=True)
        # The observers of both libraries see PyTorch's float outputs: qconv's own may differ in the last bit.
        seen = []
        network[1].activation_post_process.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
        for batch in batches:
            network(torch.from_numpy(batch))
        network[1].activation_post_process._forward_pre_hooks.clear()
        ours.qconfig = _preset(qconv, self.preset)
        ours.activation_post_process = ours.qconfig.activation()
        observe(lambda _: None, ours.activation_post_process, seen)
        their_class, our_class = class_names("relu" if fused else "quantized", self.op)
        tq.convert(network, inplace=True)
        result.equal("class", their_class.__name__, type(network[1]).__name__)
        quantized = our_class.from_float(ours)
        self._same_module(result, network[1], quantized)
        if config.activation().dtype == torch.quint8:
            # FBGEMM takes no qint8 activations (docs/differences.md, Operators).
            qx = network[0](torch.from_numpy(batches[0]))
            self._same_forward(result, network[1], quantized, qx)

    def _from_reference(self, result, rng, theirs, ours, batches):
        axis = (1 if self.transposed else 0) if self.per_channel else -1
        count = self.weight_channels if self.per_channel else 1
        # Reference modules keep scales as float32.
        scales = np.exp(rng.uniform(-6, -2, count)).astype(np.float32)
        zero_points = rng.integers(-20, 21, count)
        scheme = torch.per_channel_affine if self.per_channel else torch.per_tensor_affine
        qparams = {"qscheme": scheme, "dtype": torch.qint8}
        if self.per_channel:
            qparams.update(scale=torch.from_numpy(scales), zero_point=torch.from_numpy(zero_points), axis=axis)
            wanted = qconv.nn.quantized.reference.WeightQParams(
                scales.astype(np.float64).tolist(), zero_points.tolist(), axis, qconv.qint8
            )
        else:
            qparams.update(scale=float(scales[0]), zero_point=int(zero_points[0]))
            wanted = qconv.nn.quantized.reference.WeightQParams(float(scales[0]), int(zero_points[0]), qconv.qint8)
        name = type(theirs).__name__
        reference = getattr(nnqr, name).from_float(theirs, qparams)
        our_reference = getattr(qconv.nn.quantized.reference, name).from_float(ours, wanted)
        tensors.same_tensor(
            result, "weight of the reference module", reference.get_quantized_weight(), our_reference.get_quantized_weight()
        )
        output = float(np.exp(rng.uniform(-3, 1))), int(rng.integers(0, 256))
        their_class, our_class = class_names("quantized", self.op)
        theirs = their_class.from_reference(reference, *output)
        ours = our_class.from_reference(our_reference, *output)
        self._same_module(result, theirs, ours)
        zero_point = int(rng.integers(0, 128))
        integers = rng.integers(0, 128, batches[0].shape).astype(np.uint8)
        self._same_forward(result, theirs, ours, tensors.quantized(torch.from_numpy(integers), [0.02], [zero_point]))

    def _dynamic(self, result, rng, theirs, ours, batches):
        theirs.qconfig, ours.qconfig = tq.default_dynamic_qconfig, qconv.default_dynamic_qconfig
        their_class, our_class = class_names("dynamic", self.op)
        theirs, ours = their_class.from_float(theirs), our_class.from_float(ours)
        self._same_module(result, theirs, ours)
        if has_rule(self):
            x = torch.from_numpy(batches[0])
            tensors.same_tensor(result, "forward", theirs(x), ours(qconv.from_torch(x)))

    @staticmethod
    def _same_module(result, theirs, ours):
        result.equal("scale", float(theirs.scale), ours.scale)
        result.equal("zero point", int(theirs.zero_point), ours.zero_point)
        weight, bias = theirs._weight_bias()
        tensors.same_tensor(result, "weight", weight, ours.weight(), strides=False)
        if bias is not None:
            tensors.same_tensor(result, "bias", bias.detach(), ours.bias(), strides=False)

    def _same_forward(self, result, theirs, ours, qx):
        undecided = None if has_rule(self) else next_to_ties(self, self._numbers(theirs, qx))
        tensors.same_tensor(result, "forward", theirs(qx), ours(qconv.from_torch(qx)), undecided)

    def _numbers(self, module, qx):
        weight, bias = module._weight_bias()
        if weight.qscheme() == torch.per_tensor_affine:
            scales, zero_points = [weight.q_scale()], [weight.q_zero_point()]
        else:
            scales, zero_points = weight.q_per_channel_scales().tolist(), weight.q_per_channel_zero_points().tolist()
        x, w = qx.int_repr().contiguous().numpy(), weight.int_repr().contiguous().numpy()
        acc = accumulators(self, x, qx.q_zero_point(), w, zero_points)
        bias = None if bias is None else bias.detach().numpy()
        return Numbers(
            x, qx.q_scale(), qx.q_zero_point(), w, scales, zero_points, bias, float(module.scale), int(module.zero_point), acc
        )
