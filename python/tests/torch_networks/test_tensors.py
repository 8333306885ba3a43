import gc

import pytest
import torch

import qconv

PLAIN = ["float32", "float64", "int32", "int64", "uint8", "int8"]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_tensors_share_memory(name):
    theirs = torch.arange(24).to(getattr(torch, name)).reshape(2, 3, 4)
    ours = qconv.from_torch(theirs)
    assert ours.data_ptr() == theirs.data_ptr() and str(ours.dtype) == f"DType.{name}"
    back = qconv.to_torch(ours)
    assert back.data_ptr() == theirs.data_ptr() and torch.equal(back, theirs)


@pytest.mark.parametrize("name", ["quint8", "qint8", "qint32"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_quantized_tensors_share_memory(name, channels_last):
    theirs = torch.quantize_per_tensor(torch.randn(2, 3, 4, 5), 0.1, 3, getattr(torch, name))
    if channels_last:
        theirs = theirs.contiguous(memory_format=torch.channels_last)
    ours = qconv.from_torch(theirs)
    assert ours.data_ptr() == theirs.data_ptr() and ours.stride() == theirs.stride()
    assert (ours.q_scale(), ours.q_zero_point()) == (0.1, 3)
    back = qconv.to_torch(ours)
    assert back.data_ptr() == theirs.data_ptr() and back.stride() == theirs.stride() and back.dtype == theirs.dtype
    assert torch.equal(back, theirs) and back.q_scale() == 0.1 and back.q_zero_point() == 3


@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel(axis):
    w = torch.randn(3, 4, 2)
    scales = torch.rand(w.size(axis), dtype=torch.float64) + 0.01
    theirs = torch.quantize_per_channel(w, scales, torch.arange(w.size(axis)) - 1, axis, torch.qint8)
    ours = qconv.from_torch(theirs)
    back = qconv.to_torch(ours)
    assert torch.equal(back.int_repr(), theirs.int_repr()) and back.q_per_channel_axis() == axis
    assert torch.equal(back.q_per_channel_scales(), scales)
    assert torch.equal(back.q_per_channel_zero_points(), theirs.q_per_channel_zero_points())


def test_memory_outlives_its_owner():
    ours = qconv.from_torch(torch.quantize_per_tensor(torch.ones(1000), 0.5, 0, torch.quint8))
    gc.collect()
    assert ours.int_repr().numpy().sum() == 2000
    theirs = qconv.to_torch(qconv.quantize_per_tensor(torch.ones(1000), 0.5, 0, qconv.quint8))
    gc.collect()
    assert theirs.int_repr().sum() == 2000


def test_torch_tensors_are_taken_as_they_are():
    x = torch.quantize_per_tensor(torch.randn(1, 4, 6, 6), 0.05, 117, torch.quint8)
    conv = qconv.nn.quantized.Conv2d(4, 6, 3)
    weight = torch.quantize_per_channel(torch.randn(6, 4, 3, 3), torch.full((6,), 0.02), torch.zeros(6).long(), 0, torch.qint8)
    conv.set_weight_bias(weight, torch.nn.Parameter(torch.randn(6)))
    assert qconv.equal(conv(x), conv(qconv.from_torch(x))) and qconv.equal(conv.weight(), qconv.from_torch(weight))
    theirs = torch.ao.nn.quantized.Conv2d(4, 6, 3)
    theirs.set_weight_bias(weight, None)
    conv.load_state_dict({**theirs.state_dict(), "bias": torch.zeros(6)})
    assert qconv.Tensor(x).data_ptr() == x.data_ptr()


def test_negated_views():
    z = torch.complex(torch.ones(3), torch.arange(3.0)).conj()
    assert qconv.from_torch(z.imag).numpy().tolist() == [0, -1, -2]


def test_empty_and_gradients():
    empty = torch.quantize_per_tensor(torch.zeros(0, 3), 0.1, 1, torch.quint8)
    assert qconv.from_torch(empty).shape == (0, 3) and qconv.to_torch(qconv.from_torch(empty)).shape == (0, 3)
    assert qconv.from_torch(torch.ones(2, requires_grad=True)).shape == (2,)


@pytest.mark.parametrize("bad", [torch.zeros(2, dtype=torch.float16), torch.zeros(2).to_sparse(), [1.0], torch.zeros(2, device="meta")])
def test_what_is_refused(bad):
    with pytest.raises(TypeError, match="from_torch"):
        qconv.from_torch(bad)
