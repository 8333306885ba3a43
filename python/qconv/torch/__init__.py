"""PyTorch's quantized networks on qconv's kernels.

    model = qconv.torch.convert(model)      # its quantized convolution modules, replaced
    with qconv.torch.kernels():             # or: torch.ops.quantized.conv*, while this is active
        y = model(x)

Both give the bytes of PyTorch's FBGEMM engine (docs/differences.md names the exceptions). This package needs torch.
"""

from .._torch_tensors import from_torch, to_torch
from ._convert import convert
from ._kernels import kernels
from ._modules import Conv

__all__ = ["Conv", "convert", "from_torch", "kernels", "to_torch"]
