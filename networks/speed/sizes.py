"""How large what runs a network is on disk."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from measure import Row

# Of the libraries that a turn had loaded, those that count. PyTorch's build for GPUs loads more, which a CPU needs not.
LIBRARIES = {
    "ONNX Runtime": r"/onnxruntime/",
    "OpenVINO": r"/openvino/",
    "PyTorch": r"/torch/lib/lib(torch_cpu|c10)\.so",
}
# Comes with every Debian, whatever runs on it.
SYSTEM = re.compile(r"/(ld-linux.*|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+))\.so[.0-9]*$")


def stripped_size(file: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stripped"
        subprocess.run(["strip", "-o", copy, file], check=True)
        return copy.stat().st_size


def linked(program: Path) -> list[Path]:
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(line.split("=>")[1].split()[0]) for line in lines if "=> /" in line]


def sizes(program: Path, rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Bytes by file, by contender: qconv's program, what it links, and the libraries of each peer."""
    libraries = {path.name: path.stat().st_size for path in linked(program) if not SYSTEM.search(str(path))}
    result = {"qconv": {"qconv": stripped_size(program)}, "libraries that qconv links": libraries}
    for row in rows:
        if row.contender in LIBRARIES and row.libraries:
            wanted = re.compile(LIBRARIES[row.contender])
            parts = {Path(path).name: size for path, size in row.libraries.items() if wanted.search(path)}
            result[row.contender] = result.get(row.contender, {}) | parts
    return result
