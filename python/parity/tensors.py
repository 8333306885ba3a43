"""PyTorch tensors of given numbers in every memory order, and their comparison with qconv's."""

import torch

import qconv

INTEGERS = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}
QUANTIZED = {integers: quantized for quantized, integers in INTEGERS.items()}


def laid_out(array, memory):
    """A torch tensor with the values of an array, in the order of memory that `memory` names."""
    x = torch.from_numpy(array)
    if memory == "contiguous":
        return x
    if memory in ("channels_last", "permuted"):
        order = [0, *range(2, x.ndim), 1] if memory == "channels_last" else list(reversed(range(x.ndim)))
        back = [order.index(axis) for axis in range(x.ndim)]
        return x.permute(order).contiguous().permute(back)
    axis = {"sliced_batch": 0, "sliced_channels": 1, "sliced_space": x.ndim - 1, "strided": x.ndim - 1}[memory]
    step = 2 if memory == "strided" else 1
    sizes = list(x.shape)
    sizes[axis] = sizes[axis] * step + 3
    # What lies between is not to be read, so it is not zero.
    whole = torch.full(sizes, 77, dtype=x.dtype)
    part = whole.narrow(axis, 1, x.shape[axis] * step)
    if step > 1:
        part = part[..., ::step]
    return part.copy_(x)


def quantized(integers, scales, zero_points, axis=None):
    """A quantized tensor over the memory of an integer tensor, with its strides. Per channel when there is an axis."""
    dtype = QUANTIZED[integers.dtype]
    if axis is None:
        empty = torch._empty_affine_quantized((0,), scale=scales[0], zero_point=zero_points[0], dtype=dtype)
    else:
        empty = torch._empty_per_channel_affine_quantized(
            integers.shape, scales=torch.tensor(scales, dtype=torch.float64), zero_points=torch.tensor(zero_points), axis=axis,
            dtype=dtype,
        )
    return empty.set_(integers.untyped_storage(), integers.storage_offset(), integers.shape, integers.stride())


def input_and_weight(case, numbers):
    """(x, w, bias) of a convolution case as torch tensors; bias may be None."""
    x = quantized(laid_out(numbers.x, case.memory), [numbers.x_scale], [numbers.x_zero_point])
    return x, weight(case, numbers), bias(numbers)


def weight(case, numbers):
    axis = (1 if case.transposed else 0) if case.per_channel else None
    return quantized(laid_out(numbers.w, case.weight_memory), numbers.w_scales, numbers.w_zero_points, axis)


def bias(numbers):
    return None if numbers.bias is None else torch.from_numpy(numbers.bias)


def same_tensor(result, what, theirs, ours, undecided=None, strides=True):
    """Compares everything that a user can see of a tensor: elements, sizes, strides, dtype, scale, zero point.

    undecided: which integers may be apart by one because PyTorch has no rule; None: none. strides: whether they count.
    """
    if not isinstance(ours, torch.Tensor):
        ours = qconv.to_torch(ours)
    result.equal(f"{what}: dtype", str(theirs.dtype), str(ours.dtype))
    result.equal(f"{what}: sizes", tuple(theirs.shape), tuple(ours.shape))
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return
    if strides:
        result.equal(f"{what}: strides", theirs.stride(), ours.stride())
    if theirs.is_quantized:
        same_qparams(result, what, theirs, ours)
        theirs, ours = theirs.int_repr(), ours.int_repr()
    theirs, ours = theirs.detach().contiguous().numpy(), ours.detach().contiguous().numpy()
    if undecided is None:
        result.equal(what, theirs, ours)
    else:
        result.near(what, theirs, ours, undecided)


def same_qparams(result, what, theirs, ours):
    if theirs.qscheme() != ours.qscheme():
        result.problem(f"{what}: PyTorch has {theirs.qscheme()}, qconv {ours.qscheme()}")
    elif theirs.qscheme() == torch.per_tensor_affine:
        result.equal(f"{what}: scale", theirs.q_scale(), ours.q_scale())
        result.equal(f"{what}: zero point", theirs.q_zero_point(), ours.q_zero_point())
    else:
        result.equal(f"{what}: axis", theirs.q_per_channel_axis(), ours.q_per_channel_axis())
        result.equal(f"{what}: scales", theirs.q_per_channel_scales().numpy(), ours.q_per_channel_scales().numpy())
        result.equal(
            f"{what}: zero points", theirs.q_per_channel_zero_points().numpy(), ours.q_per_channel_zero_points().numpy()
        )
