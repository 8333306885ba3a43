#!/usr/bin/env python3
"""check_torch_writer.py FIXTURES FOLDER: whether PyTorch reads what qconv wrote to FOLDER of the files in FIXTURES.

Called by torch_live_test, with a Python that has PyTorch.
"""

import json
import pathlib
import sys
import warnings

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_torch_fixtures as fixtures  # noqa: E402


def same(tensor, expected):
    """Whether PyTorch's description of the tensor is the expected one."""
    described = fixtures.describe(tensor)
    if described is None or expected is None:
        return described is expected
    # Tensors with gaps are written without.
    keys = [key for key in expected if key != "strides"]
    return all(described.get(key) == expected[key] for key in keys)


def check_values(folder, expected):
    from torch.utils.serialization import config

    for name in ["net.pt", "tensors.pt", "checkpoint.pth", "classes.pt"]:
        for calculated in [False, True]:
            # PyTorch may compute where storages are instead of looking: the layout must be its own.
            config.load.calculate_storage_offsets = calculated
            state = torch.load(folder / name, weights_only=True)
            mapped = torch.load(folder / name, weights_only=True, mmap=True)
            wanted = expected[name]["state"]
            assert list(state) == [key for key, _ in wanted], name
            for key, value in wanted:
                assert same(state[key], value), (name, key)
                assert same(mapped[key], value), (name, key)
        config.load.calculate_storage_offsets = False


def check_modules(fixture_folder, folder):
    sys.modules["__main__"].Net = fixtures.Net
    saved = torch.load(fixture_folder / "net_state.pt", weights_only=True)
    net = fixtures.Net()
    for conv in [net.features[0], net.features[1]]:
        conv.set_weight_bias(torch.quantize_per_tensor(conv.weight().dequantize() * 0, 1.0, 0, torch.qint8), None)
        conv.scale, conv.zero_point = 1.0, 0
    net.load_state_dict(torch.load(folder / "net.pt", weights_only=True), strict=True)
    for key, value in net.state_dict().items():
        pairs = zip(value, saved[key]) if isinstance(value, tuple) else [(value, saved[key])]
        for got, wanted in pairs:
            if isinstance(got, torch.Tensor):
                assert fixtures.describe(got)["values"] == fixtures.describe(wanted)["values"], key
    scripted = torch.load(folder / "classes.pt", weights_only=True)
    conv = fixtures.nnq.Conv2d(2, 4, (3, 1), padding=(1, 0), groups=2, dilation=2)
    conv.load_state_dict({k[7:]: v for k, v in scripted.items() if k.startswith("conv2d.")}, strict=True)
    assert conv.bias() is None and conv.zero_point == 5


def check_packed(folder, expected):
    packed = torch.load(folder / "packed_v3.pt", weights_only=False)
    wanted = expected["packed_v3.pt"]["packed"]
    assert list(packed) == [row["name"] for row in wanted]
    for row in wanted:
        conv = packed[row["name"]]
        weight, bias = conv.unpack()
        assert same(weight, row["weight"]) and same(bias, row["bias"]), row["name"]
        for field in ["stride", "padding", "dilation", "output_padding", "groups"]:
            assert getattr(conv, field)() == row[field], (row["name"], field)
        assert conv.transpose() == row["transposed"], row["name"]


def main():
    warnings.filterwarnings("ignore")
    torch.backends.quantized.engine = "fbgemm"
    fixture_folder, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    expected = json.loads((fixture_folder / "expected.json").read_text())["files"]
    check_values(folder, expected)
    check_modules(fixture_folder, folder)
    check_packed(folder, expected)


if __name__ == "__main__":
    main()
