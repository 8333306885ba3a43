import threading

import pytest
import torch

import qconv.torch
from qconv.torch import _kernels


def conv(n=2, transposed=False):
    weight = torch.randn(*((4, 6) if transposed else (6, 4)), *(3,) * n)
    return torch.quantize_per_tensor(weight, 0.02, 1, torch.qint8), torch.randn(6)


def called(monkeypatch):
    """The names of qconv's operators that run."""
    names = []
    for name in {row[2] for row in _kernels._operator_table()}:
        op = getattr(_kernels.ops, name)
        monkeypatch.setattr(_kernels.ops, name, lambda *a, op=op, name=name: (names.append(name), op(*a))[1])
    return names


def test_a_network(eager, images, monkeypatch):
    want = eager(images)
    names = called(monkeypatch)
    with qconv.torch.kernels():
        assert torch.equal(eager(images), want)
    assert sorted(names) == ["conv2d", "conv2d_relu", "conv2d_relu", "conv_transpose2d"]
    eager(images)
    assert len(names) == 4


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "transposed, relu, dynamic",
    [(False, False, False), (False, True, False), (False, False, True), (True, False, False), (True, False, True)],
)
def test_every_operator(n, transposed, relu, dynamic, monkeypatch):
    base = f"conv_transpose{n}d" if transposed else f"conv{n}d"
    weight, bias = conv(n, transposed)
    args = [[2] * n, [1] * n] + ([[1] * n] if transposed else []) + [[1] * n, 1]
    packed = getattr(torch.ops.quantized, f"{base}_prepack")(weight, bias, *args)
    op = getattr(torch.ops.quantized, base + "_relu" * relu + "_dynamic" * dynamic)
    x = torch.randn(2, 4, *(7,) * n)
    args = (x, packed) if dynamic else (torch.quantize_per_tensor(x, 0.05, 117, torch.quint8), packed, 0.1, 100)
    want = op(*args)
    names = called(monkeypatch)
    with qconv.torch.kernels():
        got = op(*args)
    assert names == [base + "_relu" * relu + "_dynamic" * dynamic]
    assert torch.equal(got, want) and got.stride() == want.stride() and got.dtype == want.dtype


def test_lost_weights_run_as_before(monkeypatch):
    weight = torch.quantize_per_tensor(torch.randn(8, 8, 2, 2), 0.02, 1, torch.qint8)
    packed = torch.ops.quantized.conv_transpose2d_prepack(weight, None, [1, 1], [0, 0], [0, 0], [1, 1], 1)
    x = torch.randn(1, 8, 7, 7)

    def run():
        qx = torch.quantize_per_tensor(x, 0.05, 117, torch.quint8)
        dynamic = torch.ops.quantized.conv_transpose2d_dynamic(x, packed, True)
        return torch.ops.quantized.conv_transpose2d(qx, packed, 0.1, 100), dynamic

    want = run()
    names = called(monkeypatch)
    with qconv.torch.kernels():
        got = run()
    assert not names and all(map(torch.equal, got, want))


def test_lost_weights_in_three_dimensions():
    torch.backends.quantized.engine = "qnnpack"
    weight, bias = conv(3)
    packed = torch.ops.quantized.conv3d_prepack(weight, bias, [1] * 3, [0] * 3, [1] * 3, 1)
    x = torch.quantize_per_tensor(torch.randn(1, 4, 7, 7, 7), 0.05, 117, torch.quint8)
    with qconv.torch.kernels(), pytest.raises(RuntimeError, match="does not give back the weights"):
        torch.ops.quantized.conv3d(x, packed, 0.1, 0)


def test_torchscript(eager, images, monkeypatch):
    script = torch.jit.trace(eager, images)
    want = script(images)
    names = called(monkeypatch)
    with qconv.torch.kernels():
        assert torch.equal(script(images), want)
    assert len(names) == 4


def test_leaving_by_an_exception(eager, images):
    with pytest.raises(KeyError), qconv.torch.kernels():
        raise KeyError
    with qconv.torch.kernels():
        eager(images)


def test_one_at_a_time_and_again(eager, images):
    kernels = qconv.torch.kernels()
    want = eager(images)
    for _ in range(2):
        with kernels:
            assert torch.equal(eager(images), want)
            with pytest.raises(RuntimeError, match="active already"), qconv.torch.kernels():
                pass
    assert len(kernels._packed._known) == 4


def test_new_weights_are_seen(images):
    x = torch.quantize_per_tensor(images, 0.05, 117, torch.quint8)
    module = torch.ao.nn.quantized.Conv2d(3, 4, 3)
    with qconv.torch.kernels():
        for seed in range(20):
            torch.manual_seed(seed)
            weight = torch.quantize_per_tensor(torch.randn(4, 3, 3, 3), 0.02, 0, torch.qint8)
            module.set_weight_bias(weight, None)
            got = module(x)
            assert torch.equal(got, qconv.torch.convert(module)(x))


def test_memory_is_bounded(images, monkeypatch):
    monkeypatch.setattr(_kernels._Packed, "MOST", 3)
    x = torch.quantize_per_tensor(images, 0.05, 117, torch.quint8)
    kernels = qconv.torch.kernels()
    layers = [torch.ao.nn.quantized.Conv2d(3, 4, 3) for _ in range(10)]

    @kernels
    def run():
        for layer in layers:
            layer(x)

    run()
    assert len(kernels._packed._known) == 3
    kernels.__exit__(None, None, None)


def test_errors_come_through(images):
    weight, bias = conv()
    packed = torch.ops.quantized.conv2d_prepack(weight, bias, [1, 1], [0, 0], [1, 1], 1)
    x = torch.quantize_per_tensor(torch.randn(1, 5, 7, 7), 0.05, 117, torch.quint8)
    with qconv.torch.kernels(), pytest.raises((ValueError, RuntimeError), match="conv2d"):
        torch.ops.quantized.conv2d(x, packed, 0.1, 0)
    with pytest.raises(ValueError, match="rule"):
        qconv.torch.kernels(rule="mkl")


def test_threads(eager, images):
    want = eager(images)
    wrong = []

    def work():
        for _ in range(5):
            if not torch.equal(eager(images), want):
                wrong.append(1)

    with qconv.torch.kernels():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong
