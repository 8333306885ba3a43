import os
import pathlib

import numpy as np
import pytest

import qconv


@pytest.fixture
def state(weight):
    return {"w": weight(3, 2, 3), "b": None, "x": qconv.Tensor(np.arange(4, dtype="int64"))}


def test_safetensors(state, tmp_path):
    path = tmp_path / "state.safetensors"
    qconv.save(state, path)
    again = qconv.load(str(path))
    assert qconv.equal(again["w"], state["w"]) and again["b"] is None and again["x"].numpy().tolist() == [0, 1, 2, 3]
    qconv.save_safetensors(state, path, {"made by": "a test"})
    assert qconv.load_safetensors_metadata(path) == {"made by": "a test"}


def test_npz_and_npy(tmp_path):
    arrays = {"a": np.ones((2, 3), "float32"), "b": np.arange(3, dtype="uint8")}
    qconv.save(arrays, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as read:
        assert np.array_equal(read["a"], arrays["a"])
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    assert np.array_equal(qconv.load(tmp_path / "b.npz")["b"].numpy(), arrays["b"])
    qconv.save_npy(arrays["a"], tmp_path / "a.npy")
    assert np.array_equal(qconv.load_npy(tmp_path / "a.npy").numpy(), np.load(tmp_path / "a.npy"))


def test_torch(state, tmp_path):
    for name in ("state.pt", "state.pth"):
        qconv.save(state, tmp_path / name)
        again = qconv.load(tmp_path / name)
        assert list(again) == list(state) and again["b"] is None
        assert qconv.equal(again["w"], state["w"]) and again["x"].numpy().tolist() == [0, 1, 2, 3]


FIXTURES = pathlib.Path(__file__).parents[2] / "tests" / "io" / "torch"


def test_torch_modules():
    with pytest.raises(qconv.FileError, match="__main__.Net"):
        qconv.load(FIXTURES / "net.pt")
    file = qconv.load_torch_file(FIXTURES / "net.pt", safe_globals=["__main__.Net"])
    state = qconv.load(FIXTURES / "net.pt", safe_globals=["__main__.Net"])
    assert file.kind == "module" and file.convolutions and list(state) == list(file.state)
    for conv in file.convolutions:
        module = conv.make()
        assert qconv.equal(module.weight(), state[conv.name + ".weight"])
        assert type(module).__name__ == conv.class_name.rsplit(".", 1)[-1]
        assert conv.make(rule="qnnpack")._packed_params.rule == "qnnpack"


def test_packed_parameters(weight, tmp_path):
    packed = qconv.ops.conv2d_prepack(weight(6, 4, 3, 3), None, 2, 1)
    qconv.save_torch_packed({"conv": packed}, tmp_path / "packed.pt")
    (found,) = qconv.load_torch_file(tmp_path / "packed.pt").packed_params
    again = found.prepack()
    assert qconv.equal(again.weight(), packed.weight()) and again.stride() == [2, 2] and again.padding() == [1, 1]


def test_images(tmp_path):
    image = np.arange(48, dtype="uint8").reshape(1, 3, 4, 4)
    qconv.save_png(image, tmp_path / "a.png")
    assert np.array_equal(qconv.load_image(tmp_path / "a.png").numpy(), image)


def test_errors(state, tmp_path):
    with pytest.raises(qconv.FileError, match="nothing.safetensors: "):
        qconv.load(tmp_path / "nothing.safetensors")
    assert issubclass(qconv.FileError, OSError)
    with pytest.raises(ValueError, match="expected a name that ends in"):
        qconv.load("a.txt")
    with pytest.raises(ValueError, match="expected a name that ends in"):
        qconv.save(state, "a.txt")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(os.urandom(100))
    with pytest.raises(qconv.FileError, match="bad.safetensors"):
        qconv.load(bad)
