"""Writes the golden corpus from a real PyTorch. See README.md beside it.

    python tests/golden/generate.py [--out DIR] [--seed N]

Everything must equal the models (numerics_model.py, observers_model.py) to the last bit, or the script stops; the only
exceptions are the defects that README.md lists, which are counted and left out.
"""

import argparse
import collections
import json
import pathlib
import platform

import numpy as np
import torch

import cases
import modules
import numerics_model as model
import observers
import torch_runner

STATIC = {
    "fbgemm": {
        "conv1d": 400, "conv2d": 700, "conv3d": 400, "conv_transpose1d": 260, "conv_transpose2d": 400,
        "conv_transpose3d": 260,
    },
    "qnnpack": {"conv1d": 170, "conv2d": 280, "conv3d": 150, "conv_transpose1d": 100, "conv_transpose2d": 160},
}
DYNAMIC = {
    "fbgemm": dict.fromkeys(STATIC["fbgemm"], 28),
    "qnnpack": dict.fromkeys(STATIC["qnnpack"], 14),
}


class Blob:
    """Side file of raw little-endian tensors, each aligned to 4 bytes."""

    def __init__(self):
        self.data = bytearray()

    def add(self, array):
        """Appends an array; returns its record {shape, offset, length} (length in bytes)."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        raw = np.ascontiguousarray(array).tobytes()
        record = {"shape": list(array.shape), "offset": len(self.data), "length": len(raw)}
        self.data.extend(raw)
        return record


def write_json(path, value):
    """Compact JSON; floats print as the shortest text that reads back to the same double."""
    path.write_text(json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")


def make_case(rng, engine, op, dynamic, left_out):
    """Draws until PyTorch and the model agree on a case."""
    while True:
        drawn = (cases.draw_dynamic if dynamic else cases.draw_static)(rng, engine, op)
        if drawn is None:
            continue
        case, x, w, bias = drawn
        try:
            expected = (model.convolve_dynamic if dynamic else model.convolve)(case, x, w, bias)
        except model.OutOfRange:
            left_out[f"{engine}: a value beyond 2^30, where the engine wraps"] += 1
            continue
        actual = (torch_runner.run_dynamic if dynamic else torch_runner.run_static)(case, x, w, bias)
        if np.array_equal(actual, expected):
            return case, x, w, bias, actual
        if cases.is_fast_depthwise(case) and max(int(x.max()), case["x_zero_point"]) > 127:
            left_out["fbgemm: int16 saturation in the depthwise kernels"] += 1
            continue
        raise AssertionError(f"PyTorch differs from the model: {case}")


def write_conv(out, seed):
    """conv.jsonl and conv.bin. Returns counts per engine and operator."""
    blob, lines = Blob(), []
    left_out, counts = collections.Counter(), collections.Counter()
    for dynamic, table in ((False, STATIC), (True, DYNAMIC)):
        for engine, operators in table.items():
            for number, (op, count) in enumerate(operators.items()):
                rng = np.random.default_rng([seed, dynamic, len(engine), number])
                for _ in range(count):
                    case, x, w, bias, y = make_case(rng, engine, op, dynamic, left_out)
                    case["id"] = len(lines)
                    tensors = {"x": x, "w": w, "b": bias, "y": y}
                    case.update({name: blob.add(t) for name, t in tensors.items() if t is not None})
                    lines.append(json.dumps(case, separators=(",", ":"), allow_nan=False))
                    kind = "dynamic" if dynamic else "static"
                    counts[f"{engine} {kind} {op}"] += 1
    (out / "conv.jsonl").write_text("\n".join(lines) + "\n")
    (out / "conv.bin").write_bytes(bytes(blob.data))
    for reason, count in sorted(left_out.items()):
        print(f"left out: {count} ({reason})")
    return counts, left_out


def cpu_flags():
    """SIMD flags of this processor, from /proc/cpuinfo (Linux)."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return sorted(f for f in line.split(":")[1].split() if f.startswith(("avx", "sse", "ssse", "fma", "f16c")))
    return []


def write_document(out, name, make, seed):
    """NAME.json with its side file NAME.bin. Returns the number of records."""
    blob = Blob()
    document = make(seed, blob)
    write_json(out / f"{name}.json", document)
    (out / f"{name}.bin").write_bytes(bytes(blob.data))
    return len(document["observers"] if isinstance(document, dict) else document)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=20251)
    args = parser.parse_args()
    torch.set_num_threads(1)
    counts, left_out = write_conv(args.out, args.seed)
    cases_written = sum(counts.values())
    documents = {
        "modules": modules.modules_document, "quantize": observers.quantize_document,
        "observers": observers.observers_document,
    }
    for name, make in documents.items():
        counts[name] = write_document(args.out, name, make, args.seed)
    write_json(
        args.out / "VERSION.json",
        {
            "torch": torch.__version__, "engines": torch.backends.quantized.supported_engines,
            "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(), "cpu_flags": cpu_flags(), "seed": args.seed,
            "cases": cases_written, "counts": dict(sorted(counts.items())), "left_out": dict(left_out),
        },
    )
    for name, count in sorted(counts.items()):
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
