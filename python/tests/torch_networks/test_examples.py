"""PyTorch's side of docs/migrating-from-pytorch.md, and the example with real networks."""

import importlib.util
import pathlib

import guide


def test_pytorch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert guide.run("py") >= 6


def test_example(monkeypatch):
    if importlib.util.find_spec("torchvision") is None:
        return  # the example says that it needs it
    example = pathlib.Path(__file__).parents[3] / "examples" / "python" / "torch_networks.py"
    exec(compile(example.read_text(), str(example), "exec"), {})  # noqa: S102
