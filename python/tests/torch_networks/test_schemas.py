"""qconv.ops has every convolution operator of torch.ops.quantized, with its arguments by name and in order."""

import re

import pytest
import torch

import qconv

SCHEMAS = [s for s in torch._C._jit_get_all_schemas() if re.match(r"quantized::conv(_transpose)?(\d?d)?(_|$)", s.name)]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: f"{s.name}.{s.overload_name}")
def test_arguments(schema):
    op = getattr(qconv.ops, schema.name.split("::")[1])
    wanted = [argument.name for argument in schema.arguments]
    offered = [re.findall(r"(\w+): ", signature[0].split("->")[0]) for signature in op.__nb_signature__]
    assert any(names[: len(wanted)] == wanted for names in offered), (wanted, offered)


def test_there_are_many():
    assert len(SCHEMAS) >= 60
