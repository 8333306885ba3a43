"""Files by what their names end in."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable

from . import _qconv


def _suffix(path):
    return os.path.splitext(os.fspath(path))[1].lower()


_LOADERS = {
    ".pt": _qconv.load_torch,
    ".pth": _qconv.load_torch,
    ".safetensors": _qconv.load_safetensors,
    ".npz": _qconv.load_npz,
}
_SAVERS = {
    ".pt": _qconv.save_torch,
    ".pth": _qconv.save_torch,
    ".safetensors": _qconv.save_safetensors,
    ".npz": _qconv.save_npz,
}


def _by_suffix(table, path, verb):
    try:
        return table[_suffix(path)]
    except KeyError:
        raise ValueError(f"qconv.{verb}: {os.fspath(path)!r}: expected a name that ends in {', '.join(table)}") from None


def load(path: str | os.PathLike[str], *, safe_globals: Iterable[str] = ()) -> dict[str, _qconv.Tensor | None]:
    """The tensors of a file by name: a dict of Tensor, None where the file has None.

    safe_globals: for .pt and .pth, the full names of classes that are not PyTorch's own; see load_torch.

    The name decides how it is read. FileError, one line that begins with the file's name, for anything that cannot be
    trusted; ValueError for another ending.
    """
    loader = _by_suffix(_LOADERS, path, "load")
    if loader is _qconv.load_torch:
        return loader(path, safe_globals=list(safe_globals))
    return loader(path)


def save(state_dict: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes a dict of tensors, atomically: an interrupted save leaves the old file whole.

    The name decides how. FileError when the file cannot be written; ValueError for another ending.
    """
    _by_suffix(_SAVERS, path, "save")(state_dict, path)


def quantize_onnx(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    batches: Iterable[Any] | Callable[[], Any],
    **options: Any,
) -> _qconv.Network:
    """Quantizes a float ONNX network with calibration data and writes it as QDQ ONNX.

    model: path of the float network. output: path to write, or None. batches and options: as for Network.quantize.
    Returns the quantized Network. Raises FileError for the files, and what Network.quantize raises.
    """
    network = _qconv.Network(model).quantize(batches, **options)
    if output is not None:
        network.save(output)
    return network
