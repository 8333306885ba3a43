"""Whole networks of PyTorch with qconv's modules in them."""

import copy

import torch

from ._modules import Conv, counterpart


def convert(model, inplace=False, rule=None):
    """The network with its quantized convolution modules replaced by qconv's; everything else stays.

    model: a torch.nn.Module that PyTorch quantized, in eager mode or by FX (modules of torch.ao.nn.quantized,
    torch.ao.nn.intrinsic.quantized and torch.ao.nn.quantized.dynamic are replaced, fused ones too). A module that
    occurs in several places is replaced by one module in all of them; forward hooks of replaced modules are kept.
    inplace: change `model` itself instead of a copy. rule: "fbgemm" or "qnnpack", whose rounding to follow; None: that of
    torch.backends.quantized.engine. Returns the network; the model itself may be one such module. TypeError for anything but
    a torch.nn.Module, and for TorchScript, whose modules cannot be replaced: run it in qconv.torch.kernels(). RuntimeError
    where PyTorch does not give back the weights that it packed.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"qconv.torch.convert: got {type(model).__name__}, expected a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("qconv.torch.convert: TorchScript cannot be converted; run it in qconv.torch.kernels()")
    made = {
        id(module): _with_hooks(Conv.from_torch(module, rule), module)
        for module in model.modules()
        if counterpart(module) is not None
    }
    if id(model) in made:
        return made[id(model)]
    if not inplace:
        # What deepcopy finds among the copies made so far is not copied: it takes the new module for the old one.
        return copy.deepcopy(model, made)
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in made:
                setattr(parent, name, made[id(child)])
    return model


def _with_hooks(new, old):
    for attribute in (
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
    ):
        getattr(new, attribute, {}).update(getattr(old, attribute, {}))
    return new
