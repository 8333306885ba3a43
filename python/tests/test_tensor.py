import copy
import gc
import pickle

import numpy as np
import pytest

import qconv

PLAIN = ["float32", "float64", "int32", "int64", "uint8", "int8"]


@pytest.mark.parametrize("dtype", PLAIN)
def test_arrays_share_memory_both_ways(dtype):
    array = np.arange(24).astype(dtype).reshape(2, 3, 4)
    tensor = qconv.Tensor(array)
    assert tensor.dtype == getattr(qconv, dtype)
    assert tensor.shape == (2, 3, 4)
    assert tensor.data_ptr() == array.ctypes.data
    back = tensor.numpy()
    assert back.ctypes.data == array.ctypes.data and np.array_equal(back, array)
    array[0, 0, 0] = 99
    assert back[0, 0, 0] == 99


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[:, 1:], lambda a: a[::2], lambda a: a[::-1], lambda a: a[:0]])
def test_strided_arrays(view):
    array = view(np.arange(24, dtype="float32").reshape(4, 6))
    assert np.array_equal(qconv.Tensor(array).numpy(), array)


def test_memory_outlives_the_array():
    tensor = qconv.Tensor(np.arange(1000, dtype="int32"))
    gc.collect()
    assert tensor.numpy().sum() == 499500
    array = tensor.numpy()
    del tensor
    gc.collect()
    assert array.sum() == 499500


def test_read_only_arrays_are_taken():
    array = np.ones((2, 2), "float32")
    array.flags.writeable = False
    assert qconv.Tensor(array).numpy().sum() == 4


@pytest.mark.parametrize("dtype", ["float16", "bool", "int16", "complex64"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="expected float32, float64"):
        qconv.Tensor(np.zeros(3, dtype))


def test_too_many_dimensions():
    with pytest.raises(ValueError, match="9 dimensions"):
        qconv.Tensor(np.zeros((1,) * 9, "float32"))


def test_dlpack(rng):
    array = rng.normal(size=(3, 5)).astype("float32")
    tensor = qconv.from_dlpack(array)
    assert tensor.data_ptr() == array.ctypes.data
    assert np.from_dlpack(tensor).ctypes.data == array.ctypes.data
    unused = tensor.__dlpack__()
    del unused  # gives its memory back without having been taken
    gc.collect()
    assert np.array_equal(np.asarray(tensor), array)


def test_quantize_follows_the_formula(rng):
    x = rng.uniform(-4, 4, (3, 50)).astype("float32")
    inverse = np.float32(1) / np.float32(0.037)
    want = np.clip(np.rint(x * inverse) + 100, 0, 255).astype("uint8")
    q = qconv.quantize_per_tensor(x, 0.037, 100, qconv.quint8)
    assert np.array_equal(q.int_repr().numpy(), want)
    assert (q.q_scale(), q.q_zero_point(), q.qscheme()) == (0.037, 100, "per_tensor_affine")
    assert np.array_equal(q.dequantize().numpy(), np.float32(0.037) * (want.astype("float32") - 100))


@pytest.mark.parametrize("kind", [list, np.asarray])
def test_quantize_per_channel(rng, kind):
    x = rng.uniform(-1, 1, (3, 4)).astype("float32")
    scales, zero_points = [0.1, 0.01, 0.02], [0, 3, -5]
    q = qconv.quantize_per_channel(x, kind(scales), kind(zero_points), 0, qconv.qint8)
    for c in range(3):
        one = qconv.quantize_per_tensor(x[c], scales[c], zero_points[c], qconv.qint8)
        assert np.array_equal(q.int_repr().numpy()[c], one.int_repr().numpy())
    assert q.q_per_channel_axis() == 0
    assert q.q_per_channel_scales().numpy().tolist() == scales
    assert q.q_per_channel_zero_points().numpy().tolist() == zero_points


def test_errors_have_the_message_of_the_library():
    x = np.zeros(3, "float32")
    with pytest.raises(ValueError, match="quantize_per_tensor.*scale"):
        qconv.quantize_per_tensor(x, -1, 0, qconv.quint8)
    with pytest.raises(ValueError, match="zero_point|zero point"):
        qconv.quantize_per_tensor(x, 1, 300, qconv.quint8)
    with pytest.raises(TypeError, match="float32"):
        qconv.quantize_per_tensor(x.astype("float64"), 1, 0, qconv.quint8)
    with pytest.raises(TypeError, match="int_repr"):
        qconv.quantize_per_tensor(x, 1, 0, qconv.quint8).numpy()
    with pytest.raises(TypeError):
        qconv.quantize_per_tensor("no array", 1, 0, qconv.quint8)
    with pytest.raises(TypeError):
        qconv.Tensor(x).q_scale()


def test_make_quantized_shares_memory():
    integers = np.arange(6, dtype="int8").reshape(2, 3)
    q = qconv.make_quantized(integers, 0.5, 1)
    assert q.dtype == qconv.qint8 and q.data_ptr() == integers.ctypes.data
    assert q.dequantize().numpy().tolist() == [[-0.5, 0, 0.5], [1, 1.5, 2]]
    q = qconv.make_quantized(integers, [0.5, 1.0], [0, 1], 0)
    assert q.dequantize().numpy().tolist() == [[0, 0.5, 1], [2, 3, 4]]


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_pickle_and_copies(weight, axis):
    q = weight(3, 4, 2, axis=axis)
    for again in (pickle.loads(pickle.dumps(q)), copy.deepcopy(q), copy.copy(q), q.clone()):
        assert qconv.equal(again, q)
    assert copy.copy(q).data_ptr() == q.data_ptr()
    assert copy.deepcopy(q).data_ptr() != q.data_ptr()


def test_geometry(quantized):
    q = quantized(2, 3, 4, 5)
    assert (q.dim(), q.ndim, q.numel(), q.size(1), q.stride()) == (4, 4, 120, 3, (60, 20, 5, 1))
    last = q.contiguous(channels_last=True)
    assert last.stride() == (60, 1, 15, 3) and last.is_contiguous(channels_last=True) and qconv.equal(q, last)
    assert q.permute([0, 2, 3, 1]).shape == (2, 4, 5, 3)
    assert q.view([6, 20]).shape == (6, 20)
    assert q.unsqueeze(0).squeeze(0).shape == q.shape
    assert q.narrow(3, 1, 2).shape == (2, 3, 4, 2)
    assert qconv.quantize_per_tensor(np.float32([3]), 1, 0, qconv.quint8).dequantize().item() == 3
    with pytest.raises(ValueError):
        q.view([7, 20])
    assert repr(q) == "Tensor(quint8, (2, 3, 4, 5), scale=0.03, zero_point=117)"
