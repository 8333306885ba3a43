"""Dynamic modules made from float ones: weights and outputs."""

import numpy as np
import torch
import torch.ao.nn.quantized.dynamic as nnqd
import torch.ao.quantization as tq

F32 = np.float32
KERNEL = {1: (3,), 2: (3, 2), 3: (2, 1, 2)}
SPATIAL = {1: (7,), 2: (5, 4), 3: (3, 4, 3)}
QCONFIGS = {
    "default_dynamic_qconfig": tq.default_dynamic_qconfig,
    "per_channel_dynamic_qconfig": tq.per_channel_dynamic_qconfig,
}


def _case(rng, blob, dims, transposed, qconfig, groups, bias):
    name = f"Conv{'Transpose' if transposed else ''}{dims}d"
    conv = getattr(torch.nn, name)(2 * groups, 3 * groups, KERNEL[dims], padding=1, groups=groups, bias=bias)
    conv.qconfig = QCONFIGS[qconfig]
    module = getattr(nnqd, name).from_float(conv)
    x = rng.normal(0.3, 1, (2, 2 * groups, *SPATIAL[dims])).astype(F32)
    weight = module.weight()
    record = {
        "class": name, "qconfig": qconfig, "groups": groups, "in_channels": 2 * groups, "out_channels": 3 * groups,
        "kernel": list(KERNEL[dims]), "bias": bias, "name": module._get_name(), "extra_repr": module.extra_repr(),
        "weight": blob.add(conv.weight.detach().numpy()), "q_weight": blob.add(weight.int_repr().contiguous().numpy()),
        "x": blob.add(x),
    }
    if bias:
        record["b"] = blob.add(conv.bias.detach().numpy())
    for key, reduce_range in (("y", True), ("y_full", False)):
        record[key] = blob.add(module(torch.from_numpy(x), reduce_range).contiguous().numpy())
    return record


def cases(rng, blob):
    """The records; FBGEMM takes no per-channel weights for transposed convolutions."""
    return [
        _case(rng, blob, dims, transposed, qconfig, groups, bias)
        for dims in (1, 2, 3) for transposed in (False, True) for qconfig in QCONFIGS
        for groups, bias in ((1, True), (2, False)) if not (transposed and "channel" in qconfig)
    ]
