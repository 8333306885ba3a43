"""Quantized (int8) convolution for CPUs: PyTorch's quantized convolution modules and operators, without PyTorch.

    import numpy as np, qconv

    qx = qconv.quantize_per_tensor(np.random.rand(1, 3, 8, 8).astype("float32"), 0.02, 0, qconv.quint8)
    conv = qconv.nn.quantized.Conv2d(3, 8, 3, padding=1)
    y = conv(qx).dequantize().numpy()

The modules are those of torch.ao.nn.quantized and their like (qconv.nn, qconv.nn.quantized, qconv.nn.intrinsic,
...), the operators those of torch.ops.quantized (qconv.ops). qconv.torch puts a PyTorch network on qconv's kernels.
"""

from ._files import load, quantize_onnx, save
from ._qconv import *  # noqa: F403
from ._qconv import __version__
from ._torch_tensors import from_torch, to_torch
