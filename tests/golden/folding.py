"""fuse_conv_bn_weights and batch normalization over several steps."""

import numpy as np
import torch
from torch.nn.utils import fuse_conv_bn_weights

F32 = np.float32


def randomized(bn, rng):
    """The module with statistics and parameters that training could have left."""
    count = bn.num_features
    with torch.no_grad():
        if bn.running_mean is not None:
            bn.running_mean.copy_(torch.from_numpy(rng.normal(0, 1, count).astype(F32)))
            bn.running_var.copy_(torch.from_numpy(rng.uniform(0.05, 3, count).astype(F32)))
        if bn.weight is not None:
            bn.weight.copy_(torch.from_numpy(rng.uniform(0.3, 1.7, count).astype(F32)))
            bn.bias.copy_(torch.from_numpy(rng.normal(0, 0.5, count).astype(F32)))
    return bn


def _fold(rng, blob, dims, transposed, groups, bias, affine):
    inputs, outputs, kernel = 4 * groups, 6 * groups, (3, 2, 2)[:dims]
    shape = (inputs, outputs // groups, *kernel) if transposed else (outputs, inputs // groups, *kernel)
    weight = rng.normal(0, 1, shape).astype(F32)
    b = rng.normal(0, 1, outputs).astype(F32) if bias else None
    bn = randomized(getattr(torch.nn, f"BatchNorm{dims}d")(outputs, eps=1e-3, affine=affine), rng)
    gain, shift = (bn.weight, bn.bias) if affine else (None, None)

    def torch_or_none(array):
        return None if array is None else torch.from_numpy(array)

    if transposed and groups > 1:
        # PyTorch's function reads dimension 1 as all output channels: fold group by group.
        per_in, per_out = inputs // groups, outputs // groups
        parts = []
        for g in range(groups):
            outs = slice(g * per_out, (g + 1) * per_out)
            parts.append(fuse_conv_bn_weights(
                torch.from_numpy(weight[g * per_in : (g + 1) * per_in]), torch_or_none(None if b is None else b[outs]),
                bn.running_mean[outs], bn.running_var[outs], bn.eps, None if gain is None else gain[outs],
                None if shift is None else shift[outs], True,
            ))
        fused_w, fused_b = (torch.cat([p[i] for p in parts]) for i in (0, 1))
    else:
        fused_w, fused_b = fuse_conv_bn_weights(
            torch.from_numpy(weight), torch_or_none(b), bn.running_mean, bn.running_var, bn.eps, gain, shift, transposed
        )
    record = {
        "dims": dims, "transposed": transposed, "groups": groups, "eps": bn.eps, "weight": blob.add(weight),
        "mean": blob.add(bn.running_mean.numpy()), "var": blob.add(bn.running_var.numpy()),
        "fused_weight": blob.add(fused_w.detach().numpy()), "fused_bias": blob.add(fused_b.detach().numpy()),
    }
    if bias:
        record["bias"] = blob.add(b)
    if affine:
        record["gain"], record["shift"] = blob.add(gain.detach().numpy()), blob.add(shift.detach().numpy())
    return record


def _steps(rng, blob, dims, momentum, affine, tracked):
    bn = getattr(torch.nn, f"BatchNorm{dims}d")(5, 1e-5, momentum, affine, tracked)
    randomized(bn, rng)
    record = {"dims": dims, "momentum": momentum, "affine": affine, "tracked": tracked, "steps": []}
    record["before"] = {k: blob.add(v.detach().clone().numpy()) for k, v in bn.state_dict().items()}
    for training in (True, True, False, True):
        bn.train(training)
        x = rng.normal(1, 2, (3, 5, *(4, 3, 2)[:dims])).astype(F32)
        with torch.no_grad():
            y = bn(torch.from_numpy(x))
        after = {k: blob.add(v.clone().numpy()) for k, v in bn.state_dict().items()}
        record["steps"].append({"training": training, "x": blob.add(x), "y": blob.add(y.numpy()), "after": after})
    return record


def cases(rng, blob):
    """The records: folds have `fused_weight`, the others `steps`."""
    folds = [
        _fold(rng, blob, dims, transposed, groups, bias, affine)
        for dims in (1, 2, 3) for transposed in (False, True) for groups in (1, 2) for bias, affine in
        ((True, True), (False, True), (True, False))
    ]
    steps = [
        _steps(rng, blob, dims, momentum, affine, tracked)
        for dims in (1, 2, 3) for momentum, affine, tracked in
        ((0.1, True, True), (None, False, True), (0.3, True, False))
    ]
    return folds + steps
