"""Writes the typed stubs of the built package: make_python_stubs.py FOLDER_OF_PACKAGE FOLDER_OF_STUBS."""

import importlib
import pathlib
import re
import sys

from nanobind.stubgen import StubGen

MODULES = [
    "qconv",
    "qconv.ops",
    "qconv.nn",
    "qconv.nn.qat",
    "qconv.nn.intrinsic",
    "qconv.nn.intrinsic.qat",
    "qconv.nn.intrinsic.quantized",
    "qconv.nn.quantized",
    "qconv.nn.quantized.reference",
    "qconv.nn.quantized.dynamic",
]
# An argument that takes a Tensor takes an array as well; what is returned is a Tensor.
TENSOR_ARGUMENT = re.compile(r"(\w+: )((?:qconv\.)?)Tensor\b(?= \| None|,|\))")
LIKE = """

# What every function takes for a Tensor.
from typing import Any, Protocol, TypeAlias

class SupportsDLPack(Protocol):
    def __dlpack__(self, /, **kwargs: Any) -> Any: ...

TensorLike: TypeAlias = Tensor | NDArray[Any] | SupportsDLPack
"""


def stub(name):
    generator = StubGen(module=importlib.import_module(name), quiet=True)
    generator.put(generator.module)
    text = TENSOR_ARGUMENT.sub(r"\1\2TensorLike", generator.get())
    return text + LIKE if name == "qconv" else text


def main(folder):
    for name in MODULES:
        parts = name.split(".")[1:]
        is_package = any(other.startswith(name + ".") for other in MODULES)
        path = folder.joinpath(*parts, "__init__.pyi") if is_package else folder.joinpath(*parts).with_suffix(".pyi")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub(name))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(pathlib.Path(sys.argv[2]))
