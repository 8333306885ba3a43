"""Reports on quantized networks: what they say is so, in every form."""

import json

import numpy as np
import pytest
import small_onnx

import qconv


@pytest.fixture
def batches(rng):
    return [rng.uniform(0, 1, (4, 3, 8, 8)).astype("float32") for _ in range(3)]


@pytest.fixture
def network(rng):
    return qconv.Network.from_onnx(small_onnx.random_chain(rng, spread=100))


def test_layers_are_set_against_the_float_network(network, batches):
    int8 = network.quantize(batches)
    report = qconv.analyze(network, int8, iter(batches), timing_seconds=0)
    assert (report.batches, report.samples, report.timed_runs) == (3, 12, 0)
    assert report.inputs[0].shape == batches[0].shape
    layers = {layer.name: layer for layer in report.layers}
    differences = {d.name: d for d in qconv.compare_layers(network, int8, batches)}
    for name in ("conv0", "conv1", "conv2"):
        layer = layers[name]
        assert layer.op == "Conv" and layer.quantized and layer.reference == name and layer.microseconds is None
        assert layer.accumulated.sqnr_db == pytest.approx(differences[name].sqnr_db)
        assert layer.values.min == pytest.approx(differences[name].reference_min)
        assert layer.values.max == pytest.approx(differences[name].reference_max)
        assert layer.local.sqnr_db >= layer.accumulated.sqnr_db - 1
        assert sum(layer.values.histogram.counts) == layer.values.count == 12 * layer.weight.shape[0] * 64
        assert layer.weight.dtype == qconv.qint8 and len(layer.weight.scales) == layer.weight.shape[0]
        assert layer.range.low <= 0 <= layer.range.high and 0 <= layer.range.clipped_above <= 1
    wanted, got = (np.concatenate([n.run(x).numpy() for x in batches]) for n in (network, int8))
    (output,) = report.outputs
    assert output.samples is None
    assert output.error.max_abs_error == pytest.approx(np.abs(wanted - got).max())


def test_equalization_shows_in_the_weights(network, batches):
    def spread(**options):
        report = qconv.analyze(network, network.quantize(batches, **options), batches, timing_seconds=0)
        scales = next(layer.weight.scales for layer in report.layers if layer.name == "conv0")
        return max(scales) / min(scales)

    assert spread() > 1000 and spread(equalize=True) < 100


def test_every_form_says_the_same(network, batches, tmp_path):
    report = qconv.analyze(network, network.quantize(batches), batches, timing_seconds=0.01)
    assert report.timed_runs >= 3 and report.other.microseconds > 0 and report.layers[1].microseconds > 0
    report.data, report.other.name, report.other.file_bytes = "noise", "int8.onnx", 1234
    tree = report.to_dict()
    assert tree == json.loads(report.to_json()) and tree["data"] == "noise" and tree["other"]["file_bytes"] == 1234
    assert [layer["name"] for layer in tree["layers"]] == [layer.name for layer in report.layers]
    for layer, entry in zip(report.layers, tree["layers"]):
        if layer.accumulated is None:
            assert entry["accumulated"] is None
        else:
            assert entry["accumulated"]["cosine"] == pytest.approx(layer.accumulated.cosine)
    report.save(tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == tree
    page = (tmp_path / "report" / "report.html").read_text()
    assert page == report.to_html() and "int8.onnx" in page and "conv1" in page


def test_errors(network, batches, tmp_path):
    with pytest.raises(ValueError, match="analyze: there is no data"):
        qconv.analyze(network, network, [])
    with pytest.raises(TypeError):
        qconv.analyze(network, "int8.onnx", batches)
    report = qconv.analyze(network, network, batches, timing_seconds=0)
    assert all(layer.accumulated.sqnr_db == float("inf") for layer in report.layers)
    with pytest.raises(qconv.FileError, match="missing"):
        report.save(tmp_path / "missing" / "report")
