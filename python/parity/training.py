"""Modules of quantization-aware training, made from the same float modules, after the same data, to quantized modules."""

import dataclasses

import numpy as np
import torch
import torch.ao.nn.intrinsic as nni
import torch.ao.nn.intrinsic.qat as nniqat
import torch.ao.nn.qat as nnqat
import torch.ao.quantization as tq

import qconv

from .conversions import ConversionCase
from .convolution import choice, draw_fields
from .modules import class_names
from .observing import observe, preset
from .operators import can_switch

# Presets whose activations have 7 bits come first: FBGEMM's int16 sums do not saturate then (docs/differences.md, Arithmetic).
REDUCED = ("get_default_qat_qconfig(fbgemm,0)", "get_default_qat_qconfig(fbgemm,1)", "get_default_qat_qconfig(x86,1)")
PRESETS = REDUCED + ("get_default_qat_qconfig(onednn,1)", "get_default_qat_qconfig(qnnpack,0)", "get_default_qat_qconfig(qnnpack,1)")

# What follows the convolution.
AFTER = ("", "ReLU", "Bn", "BnReLU")


@dataclasses.dataclass(frozen=True)
class TrainingCase(ConversionCase):
    """torch.ao.nn.qat.Conv* and torch.ao.nn.intrinsic.qat.Conv*: from_float into them, folding, from_float out of them."""

    KIND = "training"

    after: str = ""

    @classmethod
    def draw(cls, rng):
        while True:
            fields = draw_fields(rng, "fbgemm", ("conv1d", "conv2d", "conv3d"))
            fields.update(
                n=max(fields["n"], 1), numbers="full", weight_zero_point=False, weight_memory="contiguous", per_channel=False
            )
            case = cls(
                seed=int(rng.integers(2**31)), **fields, way="training", batches=int(rng.integers(1, 4)), after=choice(rng, AFTER)
            )
            case = dataclasses.replace(case, preset=choice(rng, REDUCED if case.may_saturate() else PRESETS))
            if can_switch(case):
                return case

    def group(self):
        return f"qat.Conv{self.after}{self.op[-2:]}, {self.preset}"

    def check(self, result):
        torch.backends.quantized.engine = "fbgemm"
        rng = np.random.default_rng([self.seed, 1])
        weight = rng.normal(0, 1, self.weight_sizes).astype(np.float32)
        bias = rng.normal(0, 3, self.k).astype(np.float32) if self.bias else None
        theirs, ours = self._trained(rng, *self._float_modules(weight, bias))
        # Forward computes in float, where qconv's sums are not PyTorch's to the last bit; so the parts see the same data.
        for _ in range(self.batches):
            seen = weight * np.float32(rng.uniform(0.5, 1.5))
            want = theirs.weight_fake_quant(torch.from_numpy(seen))
            got = ours.weight_fake_quant(seen)
            result.equal("weight, fake-quantized", want.detach().contiguous().numpy(), np.ascontiguousarray(got.numpy()))
            outputs = rng.normal(0.5, 4, (2, self.k, 3)).astype(np.float32)
            observe(theirs.activation_post_process, ours.activation_post_process, [torch.from_numpy(outputs)])
        their_class, our_class = class_names("relu" if "ReLU" in self.after else "quantized", self.op)
        quantized, our_quantized = their_class.from_float(theirs.eval()), our_class.from_float(ours.eval())
        self._same_module(result, quantized, our_quantized)
        observer = tq.MinMaxObserver(reduce_range=True)
        x = torch.from_numpy(rng.normal(0.3, 1, self.input_sizes).astype(np.float32))
        observer(x)
        scale, zero_point = observer.calculate_qparams()
        qx = torch.quantize_per_tensor(x, float(scale), int(zero_point), torch.quint8)
        self._same_forward(result, quantized, our_quantized, qx)

    def _trained(self, rng, theirs, ours):
        """(PyTorch's, qconv's) module for training, made from float convolutions."""
        n = self.ndim
        if "Bn" in self.after:
            statistics = {
                "weight": rng.uniform(0.5, 1.5, self.k), "bias": rng.normal(0, 1, self.k),
                "running_mean": rng.normal(0, 2, self.k), "running_var": rng.uniform(0.1, 4, self.k),
            }
            norm, our_norm = getattr(torch.nn, f"BatchNorm{n}d")(self.k), getattr(qconv.nn, f"BatchNorm{n}d")(self.k)
            for name, values in statistics.items():
                getattr(norm, name).data = torch.from_numpy(values.astype(np.float32))
                setattr(our_norm, name, values.astype(np.float32))
            parts = [norm] + ([torch.nn.ReLU()] if "ReLU" in self.after else [])
            theirs = getattr(nni, f"Conv{self.after}{n}d")(theirs, *parts)
            ours = getattr(qconv.nn.intrinsic, f"Conv{self.after}{n}d")(ours, our_norm)
        elif self.after:
            theirs = getattr(nni, f"ConvReLU{n}d")(theirs, torch.nn.ReLU())
            ours = getattr(qconv.nn.intrinsic, f"ConvReLU{n}d")(ours)
        name = f"Conv{self.after}{n}d"
        package, our_package = (nniqat, qconv.nn.intrinsic.qat) if self.after else (nnqat, qconv.nn.qat)
        theirs.train()
        ours.train()
        theirs.qconfig, ours.qconfig = preset(tq, self.preset), preset(qconv, self.preset)
        if self.after:
            theirs[0].qconfig = theirs.qconfig  # where PyTorch looks (docs/differences.md, Modules)
        theirs = getattr(package, name).from_float(theirs)
        ours = getattr(our_package, name).from_float(ours)
        theirs.activation_post_process = theirs.qconfig.activation()
        ours.activation_post_process = ours.qconfig.activation()
        return theirs, ours
