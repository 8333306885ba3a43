"""Repair of quantized networks: each option does what it is for, and says what it needs."""

import numpy as np
import pytest
import small_onnx

import qconv


@pytest.fixture
def batches(rng):
    return [rng.uniform(0, 1, (4, 3, 8, 8)).astype("float32") for _ in range(6)]


@pytest.fixture
def network(rng):
    return qconv.Network.from_onnx(small_onnx.random_chain(rng))


@pytest.fixture
def hard(rng):
    """A network whose channels have very different ranges."""
    return qconv.Network.from_onnx(small_onnx.random_chain(rng, spread=100))


def outputs(network, batches):
    return np.concatenate([network.run(x).numpy() for x in batches])


def sqnr(wanted, got):
    return 10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum())


def test_equalize_recovers_unequal_channels_and_keeps_the_function(hard, batches):
    before = hard.to_onnx()
    wanted = outputs(hard, batches)
    plain = hard.quantize(batches, per_channel=False)
    equalized = hard.quantize(batches, per_channel=False, equalize=True)
    assert sqnr(wanted, outputs(plain, batches)) < 10 < 25 < sqnr(wanted, outputs(equalized, batches))
    assert hard.to_onnx() == before
    # Float layers show it alone: what is between them is scaled, what the last one computes is not.
    partly = hard.quantize(batches, equalize=True, exclude_layers=["conv0", "conv1"])
    layers = {d.name: d for d in qconv.compare_layers(hard, partly, batches)}
    assert layers["conv0"].sqnr_db < 3 and layers["conv2"].sqnr_db > 30


def test_correct_bias_takes_mean_errors_away(network, batches):
    wanted = outputs(network, batches)

    def mean_errors(**options):
        got = outputs(network.quantize(batches, per_channel=False, **options), batches)
        return np.abs((got - wanted).mean((0, 2, 3))).mean()

    assert mean_errors(correct_bias=True) < mean_errors() / 2


def test_adaptive_rounding_is_better_than_nearest(network, batches):
    wanted = outputs(network, batches)
    nearest, adaptive = (network.quantize(batches, per_channel=False, rounding=r) for r in ("nearest", "adaptive"))
    assert nearest.to_onnx() == network.quantize(batches, per_channel=False).to_onnx()
    assert sqnr(wanted, outputs(adaptive, batches)) > sqnr(wanted, outputs(nearest, batches))


@pytest.mark.parametrize("options", [{"correct_bias": True}, {"rounding": "adaptive"}])
def test_repairs_take_what_starts_over(network, batches, options):
    class Data:
        def __iter__(self):
            return iter(batches)

    def generator():
        yield from batches

    state = iter(batches)

    def next_or_none():
        nonlocal state
        item = next(state, None)
        if item is None:
            state = iter(batches)
        return item

    wanted = network.quantize(batches, **options).to_onnx()
    for source in (tuple(batches), Data(), generator, lambda: iter(batches), next_or_none):
        assert network.quantize(source, **options).to_onnx() == wanted
    (name, value), = options.items()
    with pytest.raises(TypeError, match=f"^Network.quantize: {name}={value!r} needs the data more than once, and a "
                                        "generator can be read only once; give a list") as error:
        network.quantize(generator(), **options)
    assert "\n" not in str(error.value)
    left = list(batches)
    with pytest.raises(ValueError, match="more than once"):
        network.quantize(lambda: left.pop() if left else None, **options)


def test_one_pass_takes_iterators(network, batches):
    wanted = network.quantize(batches, equalize=True).to_onnx()
    assert network.quantize(iter(batches), equalize=True).to_onnx() == wanted


def test_callbacks(rng, batches):
    weights = [rng.normal(0, 0.2, s) for s in ((8, 3, 3, 3), (4, 8, 3, 3))]
    weights[0][5] = 0
    network = qconv.Network.from_onnx(small_onnx.conv_chain(weights, [np.zeros(8), np.zeros(4)], 8))
    notes, steps = [], []
    network.quantize(batches, correct_bias=True, note=lambda *a: notes.append(a), on_step=lambda *a: steps.append(a))
    assert [layer for layer, text in notes if "(5): all weights are 0" in text] == ["conv0"]
    assert steps[0] == ("correcting biases", 0, 3) and steps[-1] == ("correcting biases", 3, 3)
    with pytest.raises(ZeroDivisionError):
        network.quantize(batches, correct_bias=True, on_step=lambda *a: 1 / 0)


def test_arguments(network, batches):
    with pytest.raises(TypeError, match="Network.quantize: there is no argument 'equalise'"):
        network.quantize(batches, equalise=True)
    with pytest.raises(TypeError, match="Network.quantize: equalize must be a bool, not str"):
        network.quantize(batches, equalize="yes")
    with pytest.raises(TypeError, match="note must be a function, not int"):
        network.quantize(batches, note=1)
    with pytest.raises(ValueError, match="rounding is 'up', expected nearest or adaptive"):
        network.quantize(batches, rounding="up")
    with pytest.raises(ValueError, match="no engine"):
        network.quantize(batches, engine="steam")
    assert network.quantize(batches, engine="reference").layers([batches[0].shape])[1].engine == "reference"
