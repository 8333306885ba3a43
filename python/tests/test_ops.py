import threading

import numpy as np
import pytest

import qconv

STATIC = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def packed_for(op, weight, **options):
    """Packed parameters for 4 channels in and 6 out, with a bias."""
    n = int(op[-2])
    transposed = "transpose" in op
    w = weight(*((4, 6) if transposed else (6, 4)), *(3,) * n, axis=1 if transposed else 0)
    bias = np.linspace(-1, 1, 6, dtype="float32")
    return getattr(qconv.ops, f"{op}_prepack")(w, bias, stride=2, padding=1, **options), n


@pytest.mark.parametrize("op", STATIC)
def test_engines_agree(op, quantized, weight):
    packed, n = packed_for(op, weight)
    w, bias = packed.unpack()
    x = quantized(2, 4, *(9,) * n)
    results = []
    for engine in qconv.list_engines():
        packed = getattr(qconv.ops, f"{op}_prepack")(w, bias, stride=2, padding=1, engine=engine)
        assert packed.engine == engine
        results.append(getattr(qconv.ops, op)(x, packed, 0.05, 100))
    assert len(results) >= 2
    assert all(qconv.equal(r, results[0]) for r in results)
    assert results[0].q_scale() == 0.05 and results[0].shape[:2] == (2, 6)
    assert len(np.unique(results[0].int_repr().numpy())) > 20


@pytest.mark.parametrize("op", STATIC)
def test_getters(op, weight):
    packed, n = packed_for(op, weight)
    get = lambda what: getattr(qconv.ops, f"{op}_{what}")(packed)  # noqa: E731
    assert get("stride") == [2] * n and get("padding") == [1] * n and get("dilation") == [1] * n
    assert get("groups") == 1 and get("transpose") == ("transpose" in op)
    assert packed.groups() == 1 and packed.stride() == [2] * n
    w, bias = getattr(qconv.ops, f"{op}_unpack")(packed)
    assert w.dtype == qconv.qint8 and bias.shape == (6,)
    other = "conv1d" if op != "conv1d" else "conv2d"
    with pytest.raises(ValueError, match=other):
        getattr(qconv.ops, f"{other}_unpack")(packed)


def test_conv2d_equals_a_float_convolution(quantized, weight):
    x, w = quantized(1, 2, 5, 5), weight(3, 2, 3, 3)
    packed = qconv.ops.conv2d_prepack(w, None, 1, 0, 1, 1)
    y = qconv.ops.conv2d(x, packed, 0.1, 128)
    xf, wf = x.dequantize().numpy().astype("f8"), w.dequantize().numpy().astype("f8")
    want = np.zeros((1, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            want[0, :, i, j] = np.tensordot(wf, xf[0, :, i : i + 3, j : j + 3], 3)
    assert np.abs(y.dequantize().numpy() - np.clip(want, -12.8, 12.7)).max() <= 0.0501


def test_relu_add_and_the_older_form(quantized, weight):
    x, extra = quantized(1, 4, 6, 6), quantized(1, 6, 6, 6)
    packed = qconv.ops.conv2d_prepack(weight(6, 4, 3, 3), None, [1, 1], [1, 1], [1, 1], 1)
    y = qconv.ops.conv2d(x, packed, 0.05, 90)
    relu = qconv.ops.conv2d_relu(x, packed, 0.05, 90)
    assert np.array_equal(relu.int_repr().numpy(), np.maximum(y.int_repr().numpy(), 90))
    assert qconv.equal(qconv.ops.conv2d(x, packed, [1, 1], [1, 1], [1, 1], 1, 0.05, 90), y)
    before = extra.int_repr().numpy().copy()
    added = qconv.ops.conv2d_add(x, extra, packed, 0.05, 90)
    total = y.dequantize().numpy() + extra.dequantize().numpy()
    within = (y.int_repr().numpy() % 255 > 0) & (added.int_repr().numpy() % 255 > 0)
    assert within.mean() > 0.5 and np.abs(added.dequantize().numpy() - total)[within].max() < 0.051
    assert np.array_equal(extra.int_repr().numpy(), before)
    both = qconv.ops.conv2d_add_relu(x, extra, packed, 0.05, 90)
    assert np.array_equal(both.int_repr().numpy(), np.maximum(added.int_repr().numpy(), 90))


def test_dynamic(rng, weight):
    x = rng.normal(size=(2, 4, 8, 8)).astype("float32")
    packed = qconv.ops.conv2d_prepack(weight(6, 4, 3, 3))
    y = qconv.ops.conv2d_dynamic(x, packed)
    assert y.dtype == qconv.float32 and y.shape == (2, 6, 6, 6)
    assert not qconv.equal(y, qconv.ops.conv2d_dynamic(x, packed, reduce_range=True))


def test_rules_and_padding_modes(quantized, weight):
    x, w = quantized(1, 4, 9, 9), weight(6, 4, 3, 3)
    shapes = {mode: qconv.ops.conv2d(x, qconv.ops.conv2d_prepack(w, None, padding="same", padding_mode=mode), 0.05, 90)
              for mode in ("zeros", "reflect", "replicate", "circular")}
    assert {y.shape for y in shapes.values()} == {(1, 6, 9, 9)}
    assert len({y.int_repr().numpy().tobytes() for y in shapes.values()}) == 4
    packed = qconv.ops.conv2d_prepack(w, np.full(6, 0.013, "float32"), rule="qnnpack")
    assert packed.rule == "qnnpack"
    with pytest.raises(ValueError, match="expected 'fbgemm' or 'qnnpack'"):
        qconv.ops.conv2d_prepack(w, rule="onednn")


def test_errors_name_the_operator(quantized, weight):
    packed = qconv.ops.conv2d_prepack(weight(6, 4, 3, 3))
    with pytest.raises(TypeError, match="conv2d: .*quantize_per_tensor first"):
        qconv.ops.conv2d(np.zeros((1, 4, 8, 8), "float32"), packed, 0.1, 0)
    with pytest.raises(ValueError, match="conv2d"):
        qconv.ops.conv2d(quantized(1, 5, 8, 8), packed, 0.1, 0)
    with pytest.raises(ValueError, match="conv2d"):
        qconv.ops.conv2d(quantized(1, 4, 8, 8), packed, 0.1, 256)
    with pytest.raises(ValueError, match="conv2d_prepack"):
        qconv.ops.conv2d_prepack(weight(6, 4, 3, 3), None, 0)
    with pytest.raises(TypeError):
        qconv.ops.conv2d(quantized(1, 4, 8, 8), None, 0.1, 0)


def test_an_empty_batch(quantized, weight):
    packed = qconv.ops.conv2d_prepack(weight(6, 4, 3, 3))
    assert qconv.ops.conv2d(quantized(0, 4, 8, 8), packed, 0.1, 0).shape == (0, 6, 6, 6)


def test_threads_share_packed_parameters(quantized, weight):
    packed = qconv.ops.conv2d_prepack(weight(32, 32, 3, 3), None, padding=1)
    inputs = [quantized(1, 32, 20, 20) for _ in range(4)]
    want = [qconv.ops.conv2d(x, packed, 0.1, 100) for x in inputs]
    wrong = []

    def work(i):
        for _ in range(20):
            if not qconv.equal(qconv.ops.conv2d(inputs[i], packed, 0.1, 100), want[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
