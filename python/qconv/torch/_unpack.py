"""Weights that PyTorch has packed: whose rounding they are meant for, and what they were before."""

import torch


class LostWeights(RuntimeError):
    """PyTorch does not give back weights that it packed."""


def checked_rule(who, rule):
    """The rule given, or that of torch.backends.quantized.engine for None. ValueError, in the name of `who`, for any other."""
    if rule not in (None, "fbgemm", "qnnpack"):
        raise ValueError(f"{who}: rule is {rule!r}, expected 'fbgemm', 'qnnpack' or None")
    return rule or ("qnnpack" if torch.backends.quantized.engine == "qnnpack" else "fbgemm")


def unpacked(who, unpack, stride, padding, output_padding, dilation, groups, transposed):
    """(weight, bias or None) from `unpack`, a function without arguments of PyTorch's that returns them.

    The other arguments are the geometry that was packed. LostWeights, in the name of `who`, where PyTorch does not have them.
    """
    try:
        weight, bias = unpack()
    except RuntimeError as error:
        raise LostWeights(
            f"{who}: PyTorch does not give back the weights that it packed ({str(error).splitlines()[0]}); pack them with "
            "another torch.backends.quantized.engine"
        ) from None
    if transposed and groups == 1 and _is_direct(weight, stride, padding, output_padding, dilation):
        raise LostWeights(
            f"{who}: PyTorch's engine {torch.backends.quantized.engine} cannot give back the packed weights of a transposed "
            f"convolution with kernel {tuple(weight.shape[2:])}, channels in multiples of 8 and no padding: what it returns is "
            "no weight. Make the module with torch.backends.quantized.engine = 'qnnpack', or qconv's module from the float one"
        )
    return weight, bias


def _is_direct(weight, stride, padding, output_padding, dilation):
    """Whether FBGEMM packed it for its kernel of transposed convolutions, whose unpacking returns memory never written.

    Packed parameters do not say whose they are, so the engine set now is taken for the one that packed. Engine x86 is oneDNN,
    which unpacks well, for weights without zero points.
    """
    engine = torch.backends.quantized.engine
    if engine == "x86":
        per_tensor = weight.qscheme() == torch.per_tensor_affine
        offset = weight.q_zero_point() != 0 if per_tensor else bool(weight.q_per_channel_zero_points().any())
        if not offset and not any(output_padding):
            return False
    elif engine != "fbgemm":
        return False
    return (
        weight.dim() == 4
        and weight.shape[2] == 2
        and weight.shape[3] <= 6
        and weight.shape[0] % 8 == 0
        and weight.shape[1] % 8 == 0
        and all(s in (1, 2) for s in stride)
        and not any(padding)
        and all(d == 1 for d in dilation)
    )
