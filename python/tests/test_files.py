import os

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
