import copy
import pickle

import numpy as np
import pytest

import qconv
from qconv import nn


class Block(nn.Module):
    """A residual block, written in Python."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.skip = nn.quantized.FloatFunctional()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.skip.add(self.relu(self.bn(self.conv(x))), x)


def network():
    nn.manual_seed(1)
    return nn.Sequential(nn.QuantStub(), nn.Conv2d(3, 8, 3), nn.ReLU(), Block(), nn.DeQuantStub()).eval()


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 3, 9, 9)).astype("float32")


def test_children_and_paths():
    net = network()
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    assert "3.conv" in dict(net.named_modules()) and len(net) == 5
    block = net[3]
    assert isinstance(block, Block) and block.conv is net.get_submodule("3.conv") and net[-1] is net[4]
    assert block._get_name() == "Block" and "(conv): Conv2d(8, 8" in repr(net)
    with pytest.raises(AttributeError, match="nothing"):
        block.nothing
    with pytest.raises(ValueError, match="conv"):
        net.get_submodule("3.nothing")
    with pytest.raises(IndexError):
        net[5]
    block.conv = nn.Identity()
    assert isinstance(net.get_submodule("3.conv"), nn.Identity)


def test_none_is_an_attribute():
    net = network()
    net.qconfig = qconv.default_qconfig
    net[1].qconfig = None
    net[1].activation_post_process = None

    class Down(nn.Module):
        def __init__(self, module=None):
            super().__init__()
            self.down = None
            if module is not None:
                self.down = module

    assert Down().down is None
    down = Down(nn.ReLU())
    assert isinstance(down.down, nn.ReLU) and [name for name, _ in down.named_children()] == ["down"]
    with pytest.raises(TypeError, match="child 'down'"):
        down.down = 3

    class Early(nn.Module):
        def __init__(self):
            self.down = 1

    with pytest.raises(AttributeError, match="__init__"):
        Early()


def test_apply_goes_everywhere():
    net = network()
    seen = []
    assert net.apply(lambda m: seen.append(m._get_name())) is net
    assert seen[-1] == "Sequential" and len(seen) == len(net.modules()) == 10 and len(net.children()) == 5


def test_switches(x):
    net = network().train()
    net.qconfig = qconv.get_default_qat_qconfig()
    qat = nn.prepare_qat(nn.fuse_modules_qat(net, ["1", "2"]))
    qat(x)
    scale = qat[1].weight_fake_quant.scale
    nn.disable_observer(qat)
    qat(x * 100)
    assert qat[1].activation_post_process.observer_enabled is False and qat[1].weight_fake_quant.scale == scale
    qat.apply(nn.disable_fake_quant)
    assert not qat[0].activation_post_process.fake_quant_enabled
    nn.enable_fake_quant(qat)
    assert qat[0].activation_post_process.fake_quant_enabled


def test_copies_share_nothing(x):
    net = network()
    want = net(x)
    copied = copy.deepcopy(net)
    assert qconv.equal(copied(x), want)
    assert isinstance(copied[3], Block) and copied[3] is not net[3] and copied[3].calls == 2 and net[3].calls == 1
    net[1].weight = np.zeros((8, 3, 3, 3), "float32")
    assert qconv.equal(copied(x), want) and not qconv.equal(net(x), want)


def test_state(x):
    net, other = network(), network()
    other[1].weight = np.zeros((8, 3, 3, 3), "float32")
    state = net.state_dict()
    assert "3.bn.running_mean" in state
    assert other.load_state_dict(state).ok() and qconv.equal(other(x), net(x))
    with pytest.raises(ValueError, match="3.bn.bias"):
        other.load_state_dict({k: v for k, v in state.items() if k != "3.bn.bias"})


def test_fuse_prepare_convert(x):
    net = network()
    want = net(x).numpy()
    fused = nn.fuse_modules(net, [["1", "2"], ["3.conv", "3.bn", "3.relu"]])
    assert isinstance(fused[1], nn.intrinsic.ConvReLU2d) and isinstance(fused[3].conv, nn.intrinsic.ConvReLU2d)
    assert isinstance(net[1], nn.Conv2d) and np.allclose(fused(x).numpy(), want, atol=1e-5)
    fused.qconfig = qconv.get_default_qconfig("onednn")
    prepared = nn.prepare(fused)
    prepared(x)
    int8 = nn.convert(prepared)
    assert isinstance(int8[0], nn.quantized.Quantize) and isinstance(int8[1], nn.intrinsic.quantized.ConvReLU2d)
    assert isinstance(int8[3], Block) and isinstance(int8[3].skip, nn.quantized.QFunctional)
    error = int8(x).numpy() - want
    assert 10 * np.log10((want**2).mean() / (error**2).mean()) > 30
    again = nn.convert(prepared)
    assert again.load_state_dict(int8.state_dict()).ok() and qconv.equal(again(x), int8(x))


def test_one_step(x):
    int8 = nn.quantize(nn.fuse_modules(with_config(network()), ["1", "2"]), lambda net, data: net(data), x)
    assert isinstance(int8[1], nn.intrinsic.quantized.ConvReLU2d) and int8(x).shape == (2, 8, 7, 7)


def with_config(net, config=None):
    net.qconfig = config or qconv.default_qconfig
    nn.propagate_qconfig_(net)
    net[3].qconfig = qconv.QConfig(activation=None, weight=None)
    net[3].bn.qconfig = net[3].conv.qconfig = net[3].skip.qconfig = net[3].relu.qconfig = net[3].qconfig
    net.register_module("5", nn.Identity())
    net.set_submodule("3", nn.Identity())
    return net


def test_in_place():
    net = network()
    assert nn.fuse_modules(net, ["1", "2"], inplace=True) is net and isinstance(net[1], nn.intrinsic.ConvReLU2d)


def test_errors_name_the_module(x):
    net = network()
    net.qconfig = qconv.default_qconfig
    with pytest.raises(ValueError, match="3.bn"):
        nn.fuse_modules(net, ["3.bn", "3.conv"])
    with pytest.raises(ValueError, match="seen no data"):
        nn.convert(nn.prepare(nn.fuse_modules(net, ["3.conv", "3.bn"])))
    with pytest.raises(ValueError, match="training"):
        nn.prepare_qat(net)

    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        nn.Sequential(Broken())(x)
    with pytest.raises((AttributeError, TypeError)):
        nn.Module()(x)


@pytest.mark.parametrize("slow", [False, True])
def test_quantization_aware(x, slow):
    net = network().train()
    net.qconfig = qconv.get_default_qat_qconfig("fbgemm")
    qat = nn.prepare_qat(nn.fuse_modules_qat(net, [["1", "2"], ["3.conv", "3.bn", "3.relu"]]))
    assert isinstance(qat[1], nn.intrinsic.qat.ConvReLU2d) and isinstance(qat[3].conv, nn.intrinsic.qat.ConvBnReLU2d)
    qat[3].conv._enable_slow_path_for_better_numerical_stability = slow
    for _ in range(3):
        trained = qat(x)
    assert qat[3].conv.bn.num_batches_tracked.item() == 3
    nn.intrinsic.qat.freeze_bn_stats(qat)
    qat(x)
    assert qat[3].conv.bn.num_batches_tracked.item() == 3
    qat.eval()
    want = qat(x).numpy()
    int8 = nn.convert(qat)
    assert isinstance(int8[3].conv, nn.intrinsic.quantized.ConvReLU2d)
    assert np.abs(int8(x).numpy() - want).max() < 0.1 * np.abs(want).max() and trained.shape == want.shape
    folded = qat[3].conv.to_float()
    assert isinstance(folded, nn.intrinsic.ConvReLU2d)


def test_fake_quantize(x):
    fake = qconv.FakeQuantize(quant_min=0, quant_max=255, dtype=qconv.quint8)
    y = fake(x).numpy()
    scale, zero_point = fake.scale[0], fake.zero_point[0]
    want = qconv.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, 255).numpy()
    assert np.array_equal(y, want) and len(np.unique(y)) <= 256
    fake.disable_fake_quant()
    assert np.array_equal(fake(x).numpy(), x) and not fake.fake_quant_enabled
    fused = qconv.get_default_qat_qconfig().activation()
    assert isinstance(fused, qconv.FusedMovingAvgObsFakeQuantize) and fused(x).shape == x.shape
    assert "activation_post_process.min_val" in fused.state_dict()


def test_fold(rng):
    w, b = rng.normal(size=(4, 3, 3)).astype("float32"), rng.normal(size=4).astype("float32")
    mean, var = rng.normal(size=4).astype("float32"), rng.uniform(0.5, 2, 4).astype("float32")
    folded, bias = nn.fuse_conv_bn_weights(w, b, mean, var, 1e-5, None, None)
    factor = 1 / np.sqrt(var + np.float32(1e-5))
    assert np.allclose(folded.numpy(), w * factor[:, None, None], rtol=1e-6)
    assert np.allclose(bias.numpy(), (b - mean) * factor, rtol=1e-5)


def test_modules_in_cpp_pickle_by_their_state():
    conv = nn.quantized.Conv2d(3, 4, 3)
    assert repr(pickle.loads(pickle.dumps(conv))) == repr(conv)
