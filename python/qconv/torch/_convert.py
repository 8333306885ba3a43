"""Whole networks of PyTorch with qconv's modules in them."""

import copy

from ._modules import Conv, counterpart


def convert(model, inplace=False):
    """The network with its quantized convolution modules replaced by qconv's; everything else stays.

    model: a torch.nn.Module that PyTorch quantized, in eager mode or by FX (modules of torch.ao.nn.quantized,
    torch.ao.nn.intrinsic.quantized and torch.ao.nn.quantized.dynamic are replaced, fused ones too). A module that
    occurs in several places is replaced by one module in all of them; forward hooks of replaced modules are kept.
    inplace: change `model` itself instead of a copy. Returns the network; the model itself may be one such module.
    """
    if not inplace:
        model = copy.deepcopy(model)
    made = {}

    def replaced(module):
        if counterpart(module) is None:
            return None
        if id(module) not in made:
            made[id(module)] = (module, _with_hooks(Conv.from_torch(module), module))
        return made[id(module)][1]

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            new = replaced(child)
            if new is not None:
                setattr(parent, name, new)
    return replaced(model) or model


def _with_hooks(new, old):
    for attribute in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs"):
        getattr(new, attribute, {}).update(getattr(old, attribute, {}))
    return new
