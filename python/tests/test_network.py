import pathlib

import numpy as np
import pytest

import qconv

MODELS = pathlib.Path(__file__).parents[2] / "tests" / "graph" / "models"
DIGITS = pathlib.Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def model():
    return next(DIGITS.glob("*.onnx"))


def inputs_of(network, batch=2):
    shape = [batch if d < 0 else d for d in network.inputs[0].shape]
    return np.random.default_rng(1).uniform(0, 1, shape).astype("float32")


def test_run_quantize_save_and_load(model, tmp_path):
    network = qconv.Network(model)
    x = inputs_of(network)
    y = network.run(x)
    assert y.dtype == qconv.float32 and not network.quantized
    name = network.inputs[0].name
    assert qconv.equal(network.run({name: x}), y) and qconv.equal(network(x), y)
    seen = []

    def batches():
        for _ in range(3):
            seen.append(1)
            yield x

    int8 = qconv.quantize_onnx(model, tmp_path / "int8.onnx", batches())
    assert len(seen) == 3 and int8.quantized
    again = qconv.Network(tmp_path / "int8.onnx")
    assert qconv.equal(again.run(x), int8.run(x))
    assert qconv.equal(qconv.Network.from_onnx(int8.to_onnx()).run(x), int8.run(x))
    run_only = qconv.Network(tmp_path / "int8.onnx", run_only=True)
    assert qconv.equal(run_only.run(x), int8.run(x))
    with pytest.raises(ValueError, match="without run_only"):
        run_only.to_onnx()
    differences = qconv.compare_layers(network, int8, [x])
    assert differences and all(d.cosine > 0.9 for d in differences)


def test_introspection(model):
    network = qconv.Network(model)
    x = inputs_of(network)
    layers = network.layers([x.shape])
    assert any(layer.op == "Conv" and layer.multiply_adds > 0 for layer in layers)
    assert "Conv" in network.summary([x.shape])
    assert network.parameters > 0 and network.weight_bytes > 0
    float_only = network.quantize([x], exclude_ops=sorted({l.op for l in layers} - {"Conv"}), per_channel=False)
    assert float_only.quantized


def test_rules_functions_and_progress(model):
    network = qconv.Network(model)
    x = inputs_of(network)
    left = [x, [x], (x,)]
    counts = []
    rules = [qconv.QuantizeRule(op="Conv", exclude=True), qconv.QuantizeRule(layer="/stem/*", exclude=False),
             qconv.QuantizeRule(op="Gemm", activation=qconv.PercentileObserver.with_args(percentile=99), per_channel=False)]
    mixed = network.quantize(lambda: left.pop() if left else None, activation=qconv.MSEObserver.with_args(), rules=rules,
                             progress=counts.append)
    assert counts == [1, 2, 3]
    for layer in mixed.layers():
        if layer.op == "Conv":
            assert layer.quantized == layer.name.startswith("/stem/")
    assert not any(l.quantized for l in network.quantize([x], exclude_layers=["/block*"]).layers()
                   if l.op == "Conv" and l.name.startswith("/block"))
    with pytest.raises(ValueError, match=r"rules\[0\]: no layer fits name 'x\*'"):
        network.quantize([x], rules=[qconv.QuantizeRule(layer="x*", exclude=True)])
    with pytest.raises(TypeError):
        network.quantize([x], rules=[{"layer": "x"}])
    with pytest.raises(ZeroDivisionError):
        network.quantize([x], progress=lambda count: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        network.quantize(lambda: 1 / 0)


def test_errors(model, tmp_path):
    with pytest.raises(qconv.FileError, match="nothing.onnx"):
        qconv.Network(tmp_path / "nothing.onnx")
    network = qconv.Network(model)
    with pytest.raises(ValueError):
        network.run(np.zeros((1, 1), "float32"))
    with pytest.raises(ValueError, match="no calibration data"):
        network.quantize([])
    with pytest.raises(ValueError, match="by name"):
        network.run(inputs_of(network), {"x": inputs_of(network)})

    def broken():
        raise RuntimeError("no more disk")
        yield

    with pytest.raises(RuntimeError, match="no more disk"):
        network.quantize(broken())
