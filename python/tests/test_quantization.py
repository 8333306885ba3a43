"""Repair of quantized networks: each option does what it is for, and says what it needs."""

import pathlib

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


@pytest.mark.parametrize("bad, what", [(3, "int"), ("x", "str"), ([3], "list"), (None, "NoneType")])
def test_batches_of_something_else(network, bad, what):
    with pytest.raises(TypeError, match=f"^batches: expected float32 arrays, or lists of them, one per input, got a {what}"):
        network.quantize([bad])


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


def with_one_bad_layer(rng):
    """The second layer's weights are out of all proportion, so that one scale for all hurts it and no other."""
    weights = [rng.normal(0, 0.2, s) for s in ((8, 3, 3, 3), (8, 8, 3, 3), (8, 8, 3, 3), (4, 8, 3, 3))]
    weights[1] *= np.array([1000, 1, 1, 1, 1, 1, 1, 1])[:, None, None, None]
    weights[2][:, 0] /= 1000
    biases = [np.full(w.shape[0], 0.1) for w in weights]
    return qconv.Network.from_onnx(small_onnx.conv_chain(weights, biases, 8))


def test_sensitivity_has_a_row_for_each_layer(rng, batches):
    network = with_one_bad_layer(rng)
    judged = []
    rows = network.sensitivity(batches, per_channel=False, on_evaluation=lambda what, n: judged.append((what, n)))
    assert [(row.name, row.op) for row in rows] == [(f"conv{i}", "Conv") for i in range(4)]
    assert len(judged) == 7 and judged[-1] == ("conv3", 7)
    assert min(rows, key=lambda row: row.alone.sqnr_db).name in ("conv1", "conv2")
    for row in rows:
        assert row.alone.samples == 24 and row.alone.top1 is None and 0 <= row.alone.agreement <= 100
    assert rows[0].alone.mse == rows[0].up_to_here.mse > 0 and "sqnr_db=" in repr(rows[0].alone)
    # All layers together are what quantize makes.
    got = outputs(network.quantize(batches, per_channel=False), batches)
    assert rows[-1].up_to_here.sqnr_db == pytest.approx(sqnr(outputs(network, batches), got), abs=1e-3)


def test_within_a_limit_keeps_the_layers_that_cost_most(rng, batches):
    network = with_one_bad_layer(rng)
    options = {"rules": [qconv.QuantizeRule(per_channel=False, layer="conv*")]}
    rows = network.sensitivity(batches, **options)
    everything = rows[-1].up_to_here.sqnr_db
    found = network.quantize_within(batches, min_db=everything + 6, **options)
    assert found.quality.sqnr_db >= everything + 6 > found.unrestricted.sqnr_db == everything
    kept = [layer.name for layer in found.kept]
    assert 0 < len(kept) < found.layers == 4 and found.kept[0].precision == "float"
    costs = [layer.alone.sqnr_db for layer in found.kept]
    assert costs == sorted(costs)
    assert {layer.name: layer.quantized for layer in found.network.layers() if layer.op == "Conv"} == {
        row.name: row.name not in kept for row in rows}
    # None of them could be quantized as well.
    for name in kept:
        others = network.quantize(batches, exclude_layers=[k for k in kept if k != name] or (), **options)
        assert sqnr(outputs(network, batches), outputs(others, batches)) < everything + 6
    easy = network.quantize_within(batches, max_drop=100)
    assert easy.kept == [] and easy.evaluations == 1


def test_within_a_limit_judges_by_labels():
    folder = pathlib.Path(__file__).parents[2] / "examples" / "digits"
    network = qconv.Network(folder / "digits.onnx")
    test = {name: array.numpy() for name, array in qconv.load(folder / "test.npz").items()}
    images, labels = test["images"][:40], test["labels"][:40]
    right = 100 * (network.run(images).numpy().argmax(1) == labels).mean()
    for given in (labels, iter(labels.tolist())):
        found = network.quantize_within(iter([images]), max_drop=0, evaluation=[images[:25], images[25:]], labels=given)
        assert found.real.top1 == pytest.approx(right) and found.quality.top1 >= right
        assert found.quality.samples == 40
    with pytest.raises(ValueError, match="40 labels|41 labels"):
        network.sensitivity([images], labels=[0] * 41)
    with pytest.raises(TypeError, match="labels must be"):
        network.sensitivity([images], labels=["a"] * 40)


def test_search_arguments(network, batches):
    within = network.quantize_within
    for limits in ({}, {"max_drop": 1, "min_db": 1}):
        with pytest.raises(ValueError, match="^Network.quantize_within: give either max_drop or min_db$"):
            within(batches, **limits)
    with pytest.raises(ValueError, match="the metric psnr needs min_db, not max_drop"):
        within(batches, max_drop=1, metric="psnr")
    with pytest.raises(ValueError, match="the metric agreement needs max_drop, not min_db"):
        within(batches, min_db=1, metric="agreement")
    with pytest.raises(ValueError, match="the metric is 'luck', expected top1, agreement, sqnr or psnr"):
        within(batches, max_drop=1, metric="luck")
    with pytest.raises(ValueError, match="does not hold with any layer quantized"):
        within(batches, min_db=200)
    with pytest.raises(TypeError, match="there is no argument 'min_dB'"):
        within(batches, min_dB=200)
    with pytest.raises(TypeError, match="^Network.sensitivity: judging without evaluation data needs the data more"):
        network.sensitivity(iter(batches))
    with pytest.raises(TypeError, match="evaluation needs the data more than once"):
        network.sensitivity(batches, evaluation=iter(batches))
    with pytest.raises(TypeError, match="correct_bias=True needs the data more than once"):
        network.sensitivity(iter(batches), evaluation=batches, correct_bias=True)
