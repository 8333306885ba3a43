"""FakeQuantize and FusedMovingAvgObsFakeQuantize over several batches, and the two operators under them."""

import numpy as np
import torch
import torch.ao.quantization as tq

F32 = np.float32


def presets():
    """The factories that qconv offers by these names, and the parts of the QAT presets."""
    names = (
        "default_fake_quant", "default_weight_fake_quant", "default_per_channel_weight_fake_quant",
        "default_histogram_fake_quant", "default_fused_act_fake_quant", "default_fused_wt_fake_quant",
        "default_fused_per_channel_wt_fake_quant", "fused_wt_fake_quant_range_neg_127_to_127",
        "fused_per_channel_wt_fake_quant_range_neg_127_to_127", "default_fixed_qparams_range_0to1_fake_quant",
        "default_fixed_qparams_range_neg1to1_fake_quant",
    )
    found = {name: getattr(tq.fake_quantize, name) for name in names}
    configs = {
        "default_symmetric_qnnpack_qat_qconfig": tq.qconfig.default_symmetric_qnnpack_qat_qconfig,
        **{f"get_default_qat_qconfig({b},{v})": tq.get_default_qat_qconfig(b, v)
           for b in ("fbgemm", "x86", "onednn", "qnnpack") for v in (0, 1)},
    }
    for name, config in configs.items():
        found[name + ".activation"], found[name + ".weight"] = config.activation, config.weight
    return found


def _batches(rng, kind):
    shape = (3, 2, 3, 2)
    scales = {"normal": (1, 1, 1), "growing": (0.3, 1, 4), "tiny": (1e-7, 1e-6, 2e-6), "uneven": (1, 3, 0.2)}
    for factor in scales.get(kind, (1, 2, 0.5)):
        x = rng.normal(0.1, 1, shape) * factor
        if kind == "positive":
            x = np.abs(x) + 0.25
        if kind == "negative":
            x = -np.abs(x) - 0.25
        if kind == "zeros":
            x = x * 0
        yield x.astype(F32)


def _forward(rng, blob, name, factory, kind):
    module = factory()
    record = {"preset": name, "kind": kind, "steps": []}
    # (observer enabled, fake quantization enabled): training, then what a schedule switches off.
    switches = [(1, 1), (1, 1), (1, 0), (1, 1), (0, 1), (0, 0)]
    batches = list(_batches(rng, kind))
    for number, (observing, faking) in enumerate(switches):
        module.enable_observer(bool(observing))
        module.enable_fake_quant(bool(faking))
        x = batches[number % len(batches)]
        y = module(torch.from_numpy(x)).numpy()
        scale, zero_point = module.calculate_qparams()
        record["steps"].append({
            "observing": bool(observing), "faking": bool(faking), "y": blob.add(y),
            "scale": [float(v) for v in module.scale], "zero_point": [int(v) for v in module.zero_point],
            "final_scale": [float(v) for v in scale.reshape(-1)],
            "final_zero_point": [int(v) for v in zero_point.reshape(-1)],
        })
    record["x"] = [blob.add(x) for x in batches]
    record["state"] = {
        k: {"dtype": str(v.dtype)[6:], "shape": list(v.shape), "values": [float(n) for n in v.reshape(-1)]}
        for k, v in module.state_dict().items() if "histogram" not in k
    }
    return record


def _operator(rng, blob, axis, low, high):
    shape = (3, 5, 4)
    channels = 1 if axis is None else shape[axis]
    scales = np.exp(rng.uniform(-5, 2, channels)).astype(F32)
    if rng.integers(2):
        scales = (2.0 ** rng.integers(-5, 3, channels)).astype(F32)
    zero_points = rng.integers(low, high + 1, channels).astype(np.int32)
    view = [1, 1, 1]
    if axis is not None:
        view[axis] = channels
    # Halves of a step, where the order of rounding and adding the zero point shows.
    x = ((rng.integers(-300, 300, shape) + 0.5) * scales.reshape(view)).astype(F32)
    t, s, z = torch.from_numpy(x), torch.from_numpy(scales), torch.from_numpy(zero_points)
    if axis is None:
        y = torch.fake_quantize_per_tensor_affine(t, s[0], z[0], low, high)
    else:
        y = torch.fake_quantize_per_channel_affine(t, s, z, axis, low, high)
    return {
        "axis": axis, "quant_min": low, "quant_max": high, "scale": [float(v) for v in scales],
        "zero_point": [int(v) for v in zero_points], "x": blob.add(x), "y": blob.add(y.numpy()),
    }


def cases(rng, blob):
    """The records: modules have a `preset`, operators do not."""
    records = []
    for name, factory in presets().items():
        kinds = ("normal", "growing", "positive", "negative", "tiny", "zeros") if "default_f" in name else ("uneven",)
        for kind in kinds:
            if not (kind == "tiny" and "histogram" in name):
                records.append(_forward(rng, blob, name, factory, kind))
    for low, high in ((0, 255), (-128, 127), (0, 127), (-127, 127), (-8, 7)):
        for axis in (None, None, 0, 1, 2):
            records.append(_operator(rng, blob, axis, low, high))
    return records
