"""FakeQuantize and its fused form: what passes through them, and the parameters that they come to."""

import dataclasses

import numpy as np
import torch
import torch.ao.quantization as tq

import qconv

from .convolution import choice
from .observing import BATCHES, Observing, preset

# Factories of both libraries, and the parts of QConfigs.
FACTORIES = (
    "default_fake_quant", "default_weight_fake_quant", "default_per_channel_weight_fake_quant", "default_histogram_fake_quant",
    "default_fused_act_fake_quant", "default_fused_wt_fake_quant", "default_fused_per_channel_wt_fake_quant",
    "fused_wt_fake_quant_range_neg_127_to_127", "fused_per_channel_wt_fake_quant_range_neg_127_to_127",
    "default_fixed_qparams_range_0to1_fake_quant", "default_fixed_qparams_range_neg1to1_fake_quant",
    *(
        f"{config}.{part}"
        for config in (
            "default_qat_qconfig", "default_qat_qconfig_v2", "default_symmetric_qnnpack_qat_qconfig",
            "default_per_channel_symmetric_qnnpack_qat_qconfig",
            *(f"get_default_qat_qconfig({b},{v})" for b in ("fbgemm", "x86", "onednn", "qnnpack") for v in (0, 1)),
        )
        for part in ("activation", "weight")
    ),
)


def _make(library, name):
    config, dot, part = name.partition(".")
    made = preset(library, config)
    return (getattr(made, part) if dot else made)()


@dataclasses.dataclass(frozen=True)
class FakeQuantizeCase(Observing):
    """Batches that pass through, with observing and faking switched on and off between them."""

    KIND = "fake_quantize"

    name: str = "default_fake_quant"

    @classmethod
    def draw(cls, rng):
        # Infinity: docs/differences.md, Observers. The first batch says how many channels there are, so it is not empty.
        kinds = [kind for kind in BATCHES if kind not in ("infinite", "empty_first")]
        return cls(**cls.draw_data(rng, kinds), name=choice(rng, FACTORIES))

    def group(self):
        return f"FakeQuantize, {self.name}"

    def features(self):
        return {f"batches {self.batches}", f"memory {self.memory}", f"{self.count} batches"}

    def check(self, result):
        torch.backends.quantized.engine = "fbgemm"
        theirs, ours = _make(tq, self.name), _make(qconv, self.name)
        rng = np.random.default_rng([self.seed, 2])
        for index, batch in enumerate(self.data()):
            for switch in ("enable_observer", "enable_fake_quant"):
                on = index == 0 or bool(rng.random() < 0.7)
                getattr(theirs, switch)(on)
                getattr(ours, switch)(on)
            want, got = theirs(batch), ours(qconv.from_torch(batch))
            result.equal("forward", want.detach().contiguous().numpy(), np.ascontiguousarray(got.numpy()))
            result.equal("scale", theirs.scale.numpy().reshape(-1), np.asarray(ours.scale, np.float32))
            result.equal(
                "zero point", theirs.zero_point.numpy().reshape(-1).astype(np.int64), np.asarray(ours.zero_point, np.int64)
            )
        wanted = (value.numpy().reshape(-1) for value in theirs.calculate_qparams())
        for what, want, got in zip(("final scale", "final zero point"), wanted, ours.calculate_qparams()):
            result.equal(what, want.astype(got.numpy().dtype), got.numpy())
