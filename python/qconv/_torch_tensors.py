"""Tensors between qconv and PyTorch, sharing memory. PyTorch is imported when one of these is first called."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from . import _qconv

if TYPE_CHECKING:
    import torch

# Quantized dtypes, and the plain ones with the same memory.
_PLAIN = {_qconv.quint8: "uint8", _qconv.qint8: "int8", _qconv.qint32: "int32"}
_NAMES = ("float32", "float64", "int32", "int64", "uint8", "int8", "quint8", "qint8", "qint32")


@functools.lru_cache(maxsize=None)
def _torch():
    """torch, and its dtypes to qconv's and back."""
    import torch
    import torch.utils.dlpack

    ours = {getattr(torch, name): getattr(_qconv, name) for name in _NAMES}
    return torch, ours, {mine: theirs for theirs, mine in ours.items()}


def from_torch(tensor: torch.Tensor) -> _qconv.Tensor:
    """A Tensor over the memory of a torch tensor on the CPU, quantized or not; nothing is copied.

    Per-channel scales are float64, zero points int64, as in PyTorch. A tensor that requires grad is taken without its
    history. TypeError for anything that is not a strided torch tensor on the CPU of one of qconv's dtypes.
    """
    torch, ours, _ = _torch()
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"from_torch: got {type(tensor).__name__}, expected a torch.Tensor")
    if not tensor.is_cpu or tensor.layout != torch.strided:
        raise TypeError(f"from_torch: got a {tensor.layout} tensor on {tensor.device}, expected a strided one on cpu")
    dtype = ours.get(tensor.dtype)
    if dtype is None:
        raise TypeError(f"from_torch: the tensor has dtype {tensor.dtype}, expected one of {', '.join(_NAMES)}")
    scales, zero_points, axis = (), (), -1
    if not tensor.is_quantized:
        tensor = tensor.resolve_neg()
    elif tensor.qscheme() == torch.per_tensor_affine:
        scales, zero_points = (tensor.q_scale(),), (tensor.q_zero_point(),)
    elif tensor.qscheme() == torch.per_channel_affine:
        scales = tensor.q_per_channel_scales().tolist()
        zero_points = tensor.q_per_channel_zero_points().tolist()
        axis = tensor.q_per_channel_axis()
    else:
        raise TypeError(
            f"from_torch: the tensor has scheme {tensor.qscheme()}, expected per_tensor_affine or per_channel_affine"
        )
    if tensor.numel() == 0:
        return _empty(tensor.shape, dtype, scales, zero_points, axis)
    return _qconv.Tensor._from_memory(
        tensor.data_ptr(), tensor.shape, tensor.stride(), dtype, scales, zero_points, axis, tensor
    )


def _empty(shape, dtype, scales, zero_points, axis):
    import numpy

    plain = _qconv.Tensor(numpy.empty(tuple(shape), _PLAIN.get(dtype, dtype.name)))
    if dtype not in _PLAIN:
        return plain
    if axis < 0:
        return _qconv.make_quantized(plain, scales[0], zero_points[0])
    return _qconv.make_quantized(plain, scales, zero_points, axis)


def to_torch(tensor: _qconv.Tensor) -> torch.Tensor:
    """A torch tensor over the memory of a Tensor, quantized or not, with its sizes and strides; nothing is copied."""
    torch, _, theirs = _torch()
    plain = torch.utils.dlpack.from_dlpack(tensor.__dlpack__())
    if not tensor.is_quantized:
        return plain
    dtype = theirs[tensor.dtype]
    if tensor.qscheme() == "per_tensor_affine":
        empty = torch._empty_affine_quantized(
            (0,), scale=tensor.q_scale(), zero_point=tensor.q_zero_point(), dtype=dtype
        )
    else:
        # The channels must be there while the parameters are checked, so the sizes are real from the start.
        empty = torch._empty_per_channel_affine_quantized(
            tensor.shape,
            scales=to_torch(tensor.q_per_channel_scales()),
            zero_points=to_torch(tensor.q_per_channel_zero_points()),
            axis=tensor.q_per_channel_axis(),
            dtype=dtype,
        )
    return empty.set_(plain.untyped_storage(), plain.storage_offset(), plain.size(), plain.stride())
