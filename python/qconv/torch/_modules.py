"""A quantized convolution of qconv as a torch.nn.Module."""

import torch

from .. import nn
from .._torch_tensors import from_torch, to_torch
from ._unpack import checked_rule, unpacked

_NAMESPACES = {
    "quantized": nn.quantized,
    "quantized.dynamic": nn.quantized.dynamic,
    "intrinsic.quantized": nn.intrinsic.quantized,
}
# The module of qconv that computes what PyTorch's class of that module and name does.
CLASSES = {
    (f"{root}.{folder}", name): getattr(namespace, name)
    for root in ("torch.ao.nn", "torch.nn")
    for folder, namespace in _NAMESPACES.items()
    for name in dir(namespace)
    if name.startswith("Conv")
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
        rule = checked_rule("qconv.torch.Conv.from_torch", rule)
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
                from_torch(weight),
                None if bias is None else from_torch(bias.detach().contiguous()),
                float(module.scale),
                int(module.zero_point),
                module.training,
                rule,
            )
        )
        return cls(made)

    @property
    def scale(self):
        """Of the output."""
        return self.qconv.scale

    @scale.setter
    def scale(self, value):
        self.qconv.scale = float(value)

    @property
    def zero_point(self):
        """Of the output."""
        return self.qconv.zero_point

    @zero_point.setter
    def zero_point(self, value):
        self.qconv.zero_point = int(value)

    def train(self, mode=True):
        self.qconv.train(mode)
        return super().train(mode)

    def forward(self, input, *others):
        """torch tensors in and out; what the module inside says. RuntimeError while PyTorch traces: a trace would keep
        the numbers of this one run."""
        if torch.jit.is_tracing():
            raise RuntimeError(
                "qconv.torch.Conv: a trace cannot hold qconv's kernels; trace the network before convert() and run it "
                "in qconv.torch.kernels()"
            )
        return to_torch(self.qconv(from_torch(input), *map(from_torch, others)))

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
        tensors = {k: from_torch(v.detach()) if isinstance(v, torch.Tensor) else v for k, v in own.items()}
        result = self.qconv.load_state_dict(tensors, strict=False, prefix=prefix)
        missing.extend(result.missing_keys)
        unexpected.extend(result.unexpected_keys)
        errors.extend(result.mismatched)
