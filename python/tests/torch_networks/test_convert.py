import copy
import io

import pytest
import torch
import torch.ao.quantization as tq
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

import qconv.torch


def ours(network):
    return [m for m in network.modules() if isinstance(m, qconv.torch.Conv)]


def test_an_eager_network(eager, images):
    want = eager(images)
    network = qconv.torch.convert(eager)
    assert torch.equal(network(images), want)
    assert len(ours(network)) == 4 and not ours(eager)
    assert torch.equal(eager(images), want)
    assert repr(network.stem[0]).startswith("QuantizedConvReLU2d(3, 16, kernel_size=(3, 3)")
    assert network.stem[0].scale == eager.stem[0].scale and network.stem[0].kernel_size == (3, 3)


def test_in_place(eager, images):
    want = eager(images)
    assert qconv.torch.convert(eager, inplace=True) is eager
    assert len(ours(eager)) == 4 and torch.equal(eager(images), want)


def test_an_fx_network(float_network, images):
    float_network.quant = float_network.dequant = torch.nn.Identity()
    mapping = tq.get_default_qconfig_mapping("fbgemm")
    network = prepare_fx(float_network, mapping, (images,))
    network(images)
    network = convert_fx(network)
    converted = qconv.torch.convert(network)
    assert len(ours(converted)) == 4 and torch.equal(converted(images), network(images))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_single_modules(n, kind, dynamic):
    folder = torch.ao.nn.quantized.dynamic if dynamic else torch.ao.nn.quantized
    theirs = getattr(folder, f"{kind}{n}d")(4, 6, 3, stride=2, padding=1)
    weight = torch.randn(*((4, 6) if "T" in kind else (6, 4)), *(3,) * n)
    theirs.set_weight_bias(torch.quantize_per_tensor(weight, 0.02, 1, torch.qint8), torch.randn(6))
    theirs.scale, theirs.zero_point = 0.1, 100
    x = torch.randn(2, 4, *(7,) * n)
    x = x if dynamic else torch.quantize_per_tensor(x, 0.05, 117, torch.quint8)
    mine = qconv.torch.convert(theirs)
    assert isinstance(mine, qconv.torch.Conv)
    a, b = mine(x), theirs(x)
    assert torch.equal(a, b) and a.stride() == b.stride()
    assert dynamic or (a.q_scale(), a.q_zero_point()) == (b.q_scale(), b.q_zero_point())
    for key, value in theirs.state_dict().items():
        assert torch.equal(mine.state_dict()[key], value), key
    again = qconv.torch.convert(getattr(folder, f"{kind}{n}d")(4, 6, 3, stride=2, padding=1))
    again.load_state_dict(theirs.state_dict())
    assert torch.equal(again(x).dequantize(), qconv.torch.to_torch(again.qconv(qconv.from_torch(x))).dequantize())
    assert torch.equal(again.weight(), theirs.weight()) and torch.equal(again.bias(), theirs.bias())


def test_rule():
    torch.backends.quantized.engine = "qnnpack"
    theirs = torch.ao.nn.quantized.Conv2d(3, 4, 3)
    # A bias of half a unit of the accumulator: QNNPACK rounds it to none, FBGEMM keeps it.
    weight = torch._make_per_tensor_quantized_tensor(torch.full((4, 3, 3, 3), 1, dtype=torch.int8), 0.5, 0)
    theirs.set_weight_bias(weight, torch.full((4,), 0.125))
    theirs.scale, theirs.zero_point = 0.25, 10
    x = torch._make_per_tensor_quantized_tensor(torch.full((1, 3, 5, 5), 1, dtype=torch.uint8), 0.5, 0)
    fbgemm = qconv.torch.convert(theirs, rule="fbgemm")(x).int_repr()
    mine = qconv.torch.convert(theirs)
    assert torch.equal(mine(x), theirs(x)) and not torch.equal(mine(x).int_repr(), fbgemm)
    mine.load_state_dict(theirs.state_dict())
    assert torch.equal(mine(x), theirs(x))
    with pytest.raises(ValueError, match="rule is 'onednn'"):
        qconv.torch.convert(theirs, rule="onednn")


def test_lost_weights_are_refused():
    module = torch.ao.nn.quantized.ConvTranspose2d(8, 8, 2, stride=2)
    with pytest.raises(RuntimeError, match="engine fbgemm cannot give back the packed weights"):
        qconv.torch.convert(module)
    torch.backends.quantized.engine = "qnnpack"
    assert isinstance(qconv.torch.convert(torch.ao.nn.quantized.ConvTranspose2d(8, 8, 2, stride=2)), qconv.torch.Conv)
    module = torch.ao.nn.quantized.Conv3d(8, 8, 2)
    with pytest.raises(RuntimeError, match="does not give back the weights"):
        qconv.torch.convert(module)


def test_reflected_padding():
    theirs = torch.ao.nn.quantized.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    theirs.set_weight_bias(torch.quantize_per_tensor(torch.randn(4, 3, 3, 3), 0.02, 0, torch.qint8), None)
    x = torch.quantize_per_tensor(torch.randn(1, 3, 6, 6), 0.05, 117, torch.quint8)
    theirs.scale, theirs.zero_point = 0.1, 100
    assert torch.equal(qconv.torch.convert(theirs)(x), theirs(x))


def test_shared_modules_and_hooks(eager, images):
    eager.stem.add_module("again", eager.stem[0])
    calls = []
    eager.conv.register_forward_hook(lambda *_: calls.append(1))
    network = qconv.torch.convert(eager)
    assert network.stem.again is network.stem[0]
    del network.stem.again
    network(images)
    assert calls == [1]


def test_copies_and_files(eager, images):
    network = qconv.torch.convert(eager)
    want = network(images)
    assert torch.equal(copy.deepcopy(network)(images), want)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    state = torch.load(file)
    assert list(state) == list(eager.state_dict())
    eager.load_state_dict(state)
    assert torch.equal(eager(images), want)


def test_attributes_reach_the_module_inside(eager, images):
    network = qconv.torch.convert(eager)
    before = network(images)
    network.up.scale = network.up.scale * 2
    network.up.zero_point = 3
    eager.up.scale, eager.up.zero_point = eager.up.scale * 2, 3
    assert torch.equal(network(images), eager(images)) and not torch.equal(network(images), before)
    network.train()
    assert network.up.qconv.training


def test_hooks_with_keywords(eager, images):
    calls = []
    eager.up.register_forward_pre_hook(lambda m, args, kwargs: calls.append(1), with_kwargs=True)
    qconv.torch.convert(eager)(images)
    assert calls == [1]


def test_traces_are_refused(eager, images):
    with pytest.raises(RuntimeError, match="trace the network before"):
        torch.jit.trace(qconv.torch.convert(eager), images)
    with pytest.raises(TypeError, match="kernels"):
        qconv.torch.convert(torch.jit.trace(eager, images))
    with pytest.raises(TypeError, match="got OrderedDict"):
        qconv.torch.convert(eager.state_dict())


def test_the_rule_is_saved(images):
    torch.backends.quantized.engine = "qnnpack"
    theirs = torch.ao.nn.quantized.Conv2d(3, 4, 3)
    theirs.set_weight_bias(torch.quantize_per_tensor(torch.randn(4, 3, 3, 3), 0.3, 0, torch.qint8), torch.randn(4))
    x = torch.quantize_per_tensor(images, 0.4, 100, torch.quint8)
    mine = qconv.torch.convert(theirs)
    file = io.BytesIO()
    torch.save(mine, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert again.qconv._packed_params.rule == "qnnpack" and torch.equal(again(x), mine(x))


def test_other_modules_are_refused():
    with pytest.raises(TypeError, match="torch.nn.modules.linear.Linear"):
        qconv.torch.Conv.from_torch(torch.nn.Linear(2, 2))
    linear = torch.nn.Linear(2, 2)
    assert qconv.torch.convert(linear, inplace=True) is linear
