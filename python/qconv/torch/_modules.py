"""A quantized convolution of qconv as a torch.nn.Module."""

import torch

from .. import nn
from .._torch_tensors import from_torch, to_torch
from ._unpack import checked_rule, unpacked

# The module of qconv that computes what PyTorch's class of that module and name does.
CLASSES = {
    **{
        (f"{root}.quantized", f"{kind}{n}d"): getattr(nn.quantized, f"{kind}{n}d")
        for root in ("torch.ao.nn", "torch.nn")
        for kind in ("Conv", "ConvTranspose")
        for n in (1, 2, 3)
    },
    **{
        (f"{root}.quantized.dynamic", f"{kind}{n}d"): getattr(nn.quantized.dynamic, f"{kind}{n}d")
        for root in ("torch.ao.nn", "torch.nn")
        for kind in ("Conv", "ConvTranspose")
        for n in (1, 2, 3)
    },
    **{
        (f"{root}.intrinsic.quantized", name): getattr(nn.intrinsic.quantized, name)
        for root in ("torch.ao.nn", "torch.nn")
        for name in ("ConvReLU1d", "ConvReLU2d", "ConvReLU3d", "ConvAdd2d", "ConvAddReLU2d")
    },
}


def counterpart(module):
    """qconv's class for a module of PyTorch, or None. The class must be PyTorch's own, not one derived from it."""
    folder, _, _ = type(module).__module__.partition(".modules")
    return CLASSES.get((folder, type(module).__name__))


class Conv(torch.nn.Module):
    """One of qconv's quantized convolution modules inside a PyTorch network.

    Takes and returns torch tensors, over whose memory qconv works. Attributes (in_channels, kernel_size, scale, ...)
    are those of the module inside, `qconv`; the state dict has the keys of PyTorch's module.
    """

    def __init__(self, module):
        super().__init__()
        self.qconv = module
        self.training = module.training

    @classmethod
    def from_torch(cls, module, rule=None):
        """The counterpart of one of PyTorch's quantized convolution modules. TypeError for any other module.

        rule: "fbgemm" or "qnnpack", whose rounding to follow; None: that of torch.backends.quantized.engine. RuntimeError where
        PyTorch does not give back the weights that it packed.
        """
        kind = counterpart(module)
        if kind is None:
            raise TypeError(
                f"qconv.torch.Conv.from_torch: got {type(module).__module__}.{type(module).__name__}, expected a "
                "convolution of torch.ao.nn.quantized, torch.ao.nn.intrinsic.quantized or their dynamic forms"
            )
        weight, bias = unpacked(
            "qconv.torch.Conv.from_torch",
            module._weight_bias,
            module.stride,
            module.padding,
            module.output_padding,
            module.dilation,
            module.groups,
            module.transposed,
        )
        weight, bias = from_torch(weight), None if bias is None else from_torch(bias.detach().contiguous())
        made = kind.__new__(kind)
        made.__setstate__(
            (
                module.in_channels,
                module.out_channels,
                tuple(module.kernel_size),
                tuple(module.stride),
                tuple(module.padding),
                tuple(module.dilation),
                module.transposed,
                tuple(module.output_padding),
                module.groups,
                module.padding_mode,
                weight,
                bias,
                float(module.scale),
                int(module.zero_point),
                module.training,
            )
        )
        rule = checked_rule("qconv.torch.Conv.from_torch", rule)
        if rule != "fbgemm":
            made.set_weight_bias(weight, bias, rule=rule)
        return cls(made)

    def forward(self, *inputs):
        """torch tensors in and out; what the module inside says."""
        return to_torch(self.qconv(*map(from_torch, inputs)))

    def weight(self):
        return to_torch(self.qconv.weight())

    def bias(self):
        bias = self.qconv.bias()
        return None if bias is None else to_torch(bias)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            inside = self.__dict__.get("qconv")
            if inside is None or name.startswith("_"):
                raise
            return getattr(inside, name)

    def _get_name(self):
        return self.qconv._get_name()

    def extra_repr(self):
        return self.qconv.extra_repr()

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for key, tensor in self.qconv.state_dict(prefix=prefix).items():
            destination[key] = None if tensor is None else to_torch(tensor)

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        own = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
        result = self.qconv.load_state_dict(
            {k: v if v is None else from_torch(v.detach()) for k, v in own.items()}, strict=False, prefix=prefix
        )
        missing.extend(result.missing_keys)
        unexpected.extend(result.unexpected_keys)
        errors.extend(result.mismatched)
