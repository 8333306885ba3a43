"""Write networks of the catalogue as ONNX and prove that onnxruntime computes with them what PyTorch does.

    PYTHON networks/export.py [NAME...] --out DIR       (needs torch, torchvision, onnx, onnxruntime)

Beside NAME.onnx are NAME.calibration.npz and NAME.test.npz, the data to quantize it with and to judge it on. The same
versions of PyTorch and NumPy write the same weights and data again.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

import peer
import samples
import weights
from catalogue import ENTRIES, Entry

OPSET = 17
CALIBRATION_COUNT, TEST_COUNT = 32, 32
# Fewer where there are many places to judge by, or nothing to count at all.
TEST_COUNT_PLACES = 8
TOLERANCE = 1e-4  # of the largest output: sums in another order


class Mismatch(Exception):
    """onnxruntime computes something else than PyTorch."""


def build(name: str, entry: Entry) -> nn.Module:
    torch.manual_seed(zlib.crc32(name.encode()))
    network = entry.make()
    weights.settle(network, name, entry.size, entry.task)
    return network.eval()


def outputs_of(network: nn.Module, images: torch.Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        result = network(images)
    return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]


def write_onnx(network: nn.Module, entry: Entry, path: Path) -> None:
    example = torch.zeros(1, *entry.size)
    outputs = [f"output{i}" if i else "output" for i in range(len(outputs_of(network, example)))]
    axes = {"input": entry.axes} | dict.fromkeys(outputs, {0: "batch"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and says so at length
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["input"],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def check(network: nn.Module, entry: Entry, path: Path, images: np.ndarray) -> float:
    """The largest difference relative to the largest output, at the batches and sizes that the file leaves open."""
    session = peer.session(path, threads=0)
    inputs = [images[:3]]
    if len(entry.axes) > 1:
        inputs.append(np.concatenate([images[:1], images[:1]], axis=2))
    worst = 0.0
    for array in inputs:
        expected = outputs_of(network, torch.from_numpy(array))
        for ours, theirs in zip(session.run(None, {"input": array}), expected, strict=True):
            if ours.shape != theirs.shape:
                raise Mismatch(f"onnxruntime gives {ours.shape}, torch {theirs.shape}")
            worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    if not worst <= TOLERANCE:
        raise Mismatch(f"onnxruntime and torch differ by {worst:.3g} of the largest output")
    return worst


def export(name: str, entry: Entry, folder: Path) -> str:
    """Writes all files of a network; returns what there is to say of them."""
    network = build(name, entry)
    kinds = samples.KINDS
    if entry.task == "pixel":
        kinds = min(kinds, outputs_of(network, torch.zeros(1, *entry.size))[0].shape[1])
    count = TEST_COUNT if entry.task == "class" else TEST_COUNT_PLACES
    test = samples.make(name, entry.size, entry.task, samples.TEST, count, kinds)
    calibration = samples.make(name, entry.size, entry.task, samples.CALIBRATION, CALIBRATION_COUNT, kinds)
    path = folder / f"{name}.onnx"
    unchecked = path.with_suffix(".unchecked")
    write_onnx(network, entry, unchecked)
    worst = check(network, entry, unchecked, test["images"])
    np.savez(folder / f"{name}.calibration.npz", images=calibration["images"])
    np.savez(folder / f"{name}.test.npz", **test)
    unchecked.rename(path)
    result = outputs_of(network, torch.from_numpy(test["images"]))[0]
    right = ""
    if entry.task != "signal":
        right = f", right {np.mean(result.argmax(1) == test['labels']):.1%}"
    return f"{path.stat().st_size >> 10} KiB, differs from torch by {worst:.2g}, deviation {result.std():.2g}{right}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks of the catalogue (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the files")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in ENTRIES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(ENTRIES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in arguments.names or ENTRIES:
        try:
            print(f"{name}: {export(name, ENTRIES[name], arguments.out)}", flush=True)
        except (Mismatch, RuntimeError, *peer.Error) as error:
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
