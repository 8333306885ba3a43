import copy
import pickle

import numpy as np
import pytest

import qconv
import qconv.nn.intrinsic as nni
import qconv.nn.intrinsic.quantized as nniq
import qconv.nn.quantized as nnq
import qconv.nn.quantized.dynamic as nnqd
import qconv.nn.quantized.reference as nnqr

CONVS = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


def dims(name):
    return int(name[-2])


def filled(cls, weight, bias=True):
    """A module of 4 channels in and 6 out with random weights."""
    module = cls(4, 6, 3, padding=1, bias=bias)
    n = dims(cls.__name__)
    transposed = module.transposed
    w = weight(*((4, 6) if transposed else (6, 4)), *(3,) * n, axis=1 if transposed else 0)
    module.set_weight_bias(w, np.linspace(-1, 1, 6, dtype="float32") if bias else None)
    module.scale, module.zero_point = 0.0625, 111
    return module


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_module_is_its_operator(name, bias, weight, quantized):
    module = filled(getattr(nnq, name), weight, bias)
    x = quantized(2, 4, *(7,) * dims(name))
    op = name.replace("ConvTranspose", "conv_transpose").replace("Conv", "conv")
    prepack = getattr(qconv.ops, f"{op}_prepack")
    packed = prepack(module.weight(), module.bias(), padding=1)
    assert qconv.equal(module(x), getattr(qconv.ops, op)(x, packed, 0.0625, 111))
    assert (module.bias() is None) == (not bias)
    assert module._get_name() == f"Quantized{name}" and repr(module).startswith(f"Quantized{name}(4, 6, kernel_size=")


@pytest.mark.parametrize("name", CONVS)
def test_state_survives_everything(name, weight, quantized):
    module = filled(getattr(nnq, name), weight)
    x = quantized(1, 4, *(6,) * dims(name))
    want = module(x)
    fresh = getattr(nnq, name)(4, 6, 3, padding=1)
    assert fresh.load_state_dict(module.state_dict()).ok()
    for again in (pickle.loads(pickle.dumps(module)), copy.copy(module), copy.deepcopy(module), fresh):
        assert type(again) is type(module) and repr(again) == repr(module)
        assert qconv.equal(again(x), want)
    assert len(module.__getstate__()) == 15


def test_the_rule_survives(weight):
    module = nnq.Conv2d(4, 6, 3)
    module.set_weight_bias(weight(6, 4, 3, 3), np.full(6, 0.013, "float32"), rule="qnnpack")
    module.set_weight_bias(module.weight(), module.bias())
    for again in (module, pickle.loads(pickle.dumps(module)), copy.copy(module), copy.deepcopy(module)):
        assert again._packed_params.rule == "qnnpack"


def test_loading_reports_everything():
    module = nnq.Conv2d(4, 6, 3)
    state = module.state_dict()
    assert list(state) == ["weight", "bias", "scale", "zero_point"]
    bad = {"weight": state["weight"], "bias": np.zeros(5, "float32"), "extra": np.zeros(1, "float32")}
    with pytest.raises(ValueError, match="scale.*|zero_point") as error:
        module.load_state_dict(bad)
    assert all(word in str(error.value) for word in ("scale", "zero_point", "extra", "bias"))
    result = module.load_state_dict(bad, strict=False)
    assert result.missing_keys == ["scale", "zero_point"] and result.unexpected_keys == ["extra"]
    assert len(result.mismatched) == 1 and not result.ok()
    with pytest.raises(TypeError, match="'weight' is a <class 'str'>, expected a Tensor"):
        module.load_state_dict({"weight": "abc"})
    prefixed = module.state_dict(prefix="a.")
    assert list(prefixed)[0] == "a.weight" and module.load_state_dict(prefixed, prefix="a.").ok()


@pytest.mark.parametrize("name", CONVS)
def test_from_float(name, rng):
    qconv.nn.manual_seed(5)
    conv = getattr(qconv.nn, name)(4, 6, 3, padding=1)
    transposed = conv.transposed
    conv.qconfig = qconv.get_default_transposed_qconfig() if transposed else qconv.get_default_qconfig("onednn")
    conv.activation_post_process = conv.qconfig.activation()
    x = rng.uniform(-1, 1, (2, 4, *(7,) * dims(name))).astype("float32")
    y = conv(x)
    module = getattr(nnq, name).from_float(conv)
    qx = qconv.quantize_per_tensor(x, 2 / 255, 128, qconv.quint8)
    error = np.abs(module(qx).dequantize().numpy() - y.numpy())
    assert error.max() < 8 * module.scale
    reference = getattr(nnqr, name)(conv, nnqr.WeightQParams(0.01, 0, qconv.qint8))
    again = getattr(nnq, name).from_reference(reference, 0.1, 3)
    assert (again.scale, again.zero_point) == (0.1, 3)
    assert qconv.equal(again.weight(), reference.get_quantized_weight())


def test_pytorch_arguments():
    conv, bn, relu = qconv.nn.Conv2d(3, 4, 3), qconv.nn.BatchNorm2d(4), qconv.nn.ReLU()
    for module in (nni.ConvReLU2d(conv, relu), nni.ConvBnReLU2d(conv, bn, relu), nni.ConvAddReLU2d(conv, None, relu)):
        assert module.conv.out_channels == 4
    how = {"qscheme": "per_channel_affine", "dtype": qconv.qint8, "scale": [0.1] * 4, "zero_point": [0] * 4, "axis": 0}
    assert nnqr.Conv2d.from_float(conv, how).get_quantized_weight().q_per_channel_axis() == 0
    assert nnqr.Conv2d.from_float(conv, {"dtype": qconv.qint8, "scale": 0.2}).weight_qparams.scales == [float(np.float32(0.2))]
    with pytest.raises(ValueError, match="qscheme"):
        nnqr.Conv2d.from_float(conv, {"qscheme": "per_tensor_symmetric"})


def test_from_float_without_calibration():
    conv = qconv.nn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match="qconfig"):
        nnq.Conv2d.from_float(conv)
    conv.qconfig = qconv.default_qconfig
    conv.activation_post_process = qconv.MinMaxObserver()
    with pytest.raises(ValueError, match="seen no data"):
        nnq.Conv2d.from_float(conv)
    with pytest.raises(TypeError):
        nnq.Conv3d.from_float(conv)


@pytest.mark.parametrize("name", ["ConvReLU1d", "ConvReLU2d", "ConvReLU3d"])
def test_fused(name, rng, weight, quantized):
    n = dims(name)
    float_module = getattr(nni, name)(getattr(qconv.nn, f"Conv{n}d")(4, 6, 3))
    float_module.qconfig = qconv.default_per_channel_qconfig
    float_module.activation_post_process = qconv.MinMaxObserver()
    assert float_module(rng.normal(size=(1, 4, *(6,) * n)).astype("float32")).numpy().min() == 0
    assert getattr(nniq, name).from_float(float_module).zero_point == 0
    module = filled(getattr(nniq, name), weight)
    plain = filled(getattr(nnq, f"Conv{n}d"), weight)
    plain.set_weight_bias(module.weight(), module.bias())
    x = quantized(1, 4, *(6,) * n)
    assert np.array_equal(module(x).int_repr().numpy(), np.maximum(plain(x).int_repr().numpy(), 111))


@pytest.mark.parametrize("name", ["ConvAdd2d", "ConvAddReLU2d"])
def test_fused_sum(name, weight, quantized):
    module = filled(getattr(nniq, name), weight)
    x, extra = quantized(1, 4, 6, 6), quantized(1, 6, 6, 6)
    op = "conv2d_add" if name == "ConvAdd2d" else "conv2d_add_relu"
    assert qconv.equal(module(x, extra), getattr(qconv.ops, op)(x, extra, module._packed_params, 0.0625, 111))
    with pytest.raises(ValueError, match=name):
        module(x, quantized(1, 6, 5, 6))


@pytest.mark.parametrize("name", CONVS)
def test_dynamic(name, rng, weight):
    module = filled(getattr(nnqd, name), weight)
    x = rng.normal(size=(1, 4, *(6,) * dims(name))).astype("float32")
    assert module(x).dtype == qconv.float32
    assert module._get_name() == f"DynamicQuantized{name}"
    assert not qconv.equal(module(x), module(x, reduce_range=False))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"groups": 5}, "groups"),
        ({"stride": 0}, "stride"),
        ({"padding": -1}, "padding"),
        ({"padding_mode": "mirror"}, "mirror"),
        ({"kernel_size": (3, 3, 3)}, "kernel"),
    ],
)
def test_constructors_check(arguments, message):
    with pytest.raises(ValueError, match=message):
        nnq.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


def test_constructors_take_what_pytorch_takes():
    module = nnq.Conv2d(4, 6, (3, 5), (2, 1), (1, 2), 1, 2, False, "reflect", device=None, dtype=None)
    assert (module.kernel_size, module.stride, module.padding) == ((3, 5), (2, 1), (1, 2))
    assert (module.groups, module.padding_mode, module.bias()) == (2, "reflect", None)
    assert nnq.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 1).output_padding == (1, 1)
    assert nnq.Conv1d(2, 2, 3, padding="same").padding == (1,)
    assert module.train() is module and module.training and not module.eval().training


def test_input_of_another_rank(quantized):
    with pytest.raises(ValueError, match=r"Input shape must be `\(N, C, H, W\)`"):
        nnq.Conv2d(4, 6, 3)(quantized(4, 8, 8))
