"""Modules for quantization-aware training: forward over steps of training, and their conversion to quantized ones."""

import copy

import numpy as np
import torch
import torch.ao.nn.intrinsic.qat as nniqat
import torch.ao.nn.intrinsic.quantized as nniq
import torch.ao.nn.qat as nnqat
import torch.ao.nn.quantized as nnq
import torch.ao.quantization as tq

import numerics_model as model
from folding import randomized

F32 = np.float32
KERNEL = {1: (3,), 2: (3, 2), 3: (2, 1, 2)}
SPATIAL = {1: (7,), 2: (5, 4), 3: (3, 4, 3)}
QCONFIGS = {
    "get_default_qat_qconfig(x86,1)": tq.get_default_qat_qconfig("x86", 1),
    "get_default_qat_qconfig(qnnpack,1)": tq.get_default_qat_qconfig("qnnpack", 1),
    "default_qat_qconfig": tq.default_qat_qconfig,
}
TRAINING = ("train", "train", "freeze_bn_stats", "eval")
PLAIN = ("train", "eval")


def _variants():
    """(class, quantized class, dimensions, settings) of every case."""
    x86, qnnpack, unfused = QCONFIGS
    plain = [
        {"groups": 1, "bias": True, "padding_mode": "zeros", "qconfig": x86},
        {"groups": 2, "bias": False, "padding_mode": "reflect", "qconfig": unfused},
    ]
    for dims in (1, 2, 3):
        for settings in plain[: 2 if dims == 2 else 1]:
            yield nnqat, f"Conv{dims}d", nnq, f"Conv{dims}d", dims, settings
            yield nniqat, f"ConvReLU{dims}d", nniq, f"ConvReLU{dims}d", dims, settings
        variants = [
            {**plain[0], "slow": False}, {**plain[0], "slow": True, "bias": False, "qconfig": qnnpack},
            {**plain[1], "slow": False, "qconfig": x86}, {**plain[1], "slow": True, "bias": True},
        ]
        for settings in {1: variants[2:], 2: variants, 3: variants[:2]}[dims]:
            yield nniqat, f"ConvBn{dims}d", nnq, f"Conv{dims}d", dims, settings
            yield nniqat, f"ConvBnReLU{dims}d", nniq, f"ConvReLU{dims}d", dims, settings


def _state(module, blob):
    return {key: blob.add(value.detach().clone().numpy()) for key, value in module.state_dict().items()}


def _convert(rng, blob, module, quantized_class, settings, dims, fused):
    """from_float of a copy whose weight an optimizer has moved since the observers saw it."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        module.weight.mul_(torch.from_numpy(rng.uniform(0.8, 1.3, module.weight.shape).astype(F32)))
    record = {"state": _state(module, blob)}
    quantized = quantized_class.from_float(copy.deepcopy(module))
    x = rng.normal(0, 1, (1, module.in_channels, *SPATIAL[dims])).astype(F32)
    qx = torch.quantize_per_tensor(torch.from_numpy(x), 0.031, 117, torch.quint8)
    weight, bias = quantized.weight(), quantized.bias()
    per_channel = weight.qscheme() == torch.per_channel_affine
    record.update({
        "class": quantized._get_name(), "q_weight": blob.add(weight.int_repr().contiguous().numpy()),
        "w_scales": [float(s) for s in weight.q_per_channel_scales()] if per_channel else [weight.q_scale()],
        "w_zero_points":
            [int(z) for z in weight.q_per_channel_zero_points()] if per_channel else [weight.q_zero_point()],
        "w_axis": weight.q_per_channel_axis() if per_channel else None,
        "y_scale": float(quantized.scale), "y_zero_point": int(quantized.zero_point), "x_scale": 0.031,
        "x_zero_point": 117, "x": blob.add(qx.int_repr().numpy()),
    })
    if bias is not None:
        record["q_bias"] = blob.add(bias.detach().numpy())
    y = quantized(qx).int_repr().contiguous().numpy()
    ints, padding = qx.int_repr().numpy(), 1
    if settings["padding_mode"] == "reflect":
        ints, padding = np.pad(ints, [(0, 0), (0, 0)] + [(1, 1)] * dims, mode="reflect"), 0
    case = {
        **record, "engine": "fbgemm", "op": "conv", "relu": fused, "stride": [1] * dims, "padding": [padding] * dims,
        "dilation": [1] * dims, "groups": settings["groups"], "output_padding": [0] * dims,
        "kernel": list(KERNEL[dims]), "bias": bias is not None,
    }
    b = None if bias is None else bias.detach().numpy()
    assert np.array_equal(model.convolve(case, ints, weight.int_repr().contiguous().numpy(), b), y), record
    record["y"] = blob.add(y)
    return record


def _case(rng, blob, package, name, quantized_package, quantized_name, dims, settings):
    normalized = "Bn" in name
    channels = (2 * settings["groups"], 4)
    arguments = {
        "padding": 1, "groups": settings["groups"], "bias": settings["bias"], "padding_mode": settings["padding_mode"],
        "qconfig": QCONFIGS[settings["qconfig"]],
    }
    module = getattr(package, name)(*channels, KERNEL[dims], **arguments)
    if normalized:
        randomized(module.bn, rng)
        module._enable_slow_path_for_better_numerical_stability = settings["slow"]
    module.activation_post_process = module.qconfig.activation()
    # The output is compared before it is quantized: a difference in the last bit would become a whole step.
    module.activation_post_process.disable_fake_quant()
    record = {
        "class": f"{package.__name__[12:]}.{name}", "dims": dims, **settings, "in_channels": channels[0],
        "out_channels": channels[1], "kernel": list(KERNEL[dims]), "before": _state(module, blob), "steps": [],
    }
    for action in TRAINING if normalized else PLAIN:
        if action == "freeze_bn_stats":
            module.freeze_bn_stats()
        else:
            module.train(action == "train")
        x = rng.normal(0.2, 1, (2, channels[0], *SPATIAL[dims])).astype(F32)
        with torch.no_grad():
            y = module.activation_post_process(module(torch.from_numpy(x)))
        record["steps"].append({
            "action": action, "x": blob.add(x), "y": blob.add(y.contiguous().numpy()), "after": _state(module, blob),
        })
    # As training leaves it: with the observers off, they see no more; with them on, conversion shows them the weight.
    for observing in (True, False):
        module.weight_fake_quant.enable_observer(observing)
        converted = _convert(
            rng, blob, module, getattr(quantized_package, quantized_name), settings, dims, "ReLU" in name
        )
        record.setdefault("converted", []).append(converted)
    if normalized:
        with torch.no_grad():
            folded = module.to_float()
        conv = folded[0] if "ReLU" in name else folded
        record["to_float"] = {"weight": blob.add(conv.weight.detach().numpy()), "bias": blob.add(conv.bias.detach().numpy())}
    return record


def cases(rng, blob):
    """The records."""
    return [_case(rng, blob, *variant) for variant in _variants()]
