"""What the suite finds out about one network."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import peer
from program import Failed, Qconv

FLOAT_TOLERANCE = 1e-3  # of the largest output, between qconv and ONNX Runtime in float
COMPARED_SAMPLES = 4
ROUNDS = 3
ROUND_SECONDS = 0.3  # of each contender in each round
CONTENDERS = ("qconv f32", "qconv int8", "ORT f32", "ORT int8")


@dataclass
class Result:
    """One row. A `failure` says why the numbers that follow it are missing."""

    name: str
    failure: str = ""
    layers: int = 0
    quantized_layers: int = 0
    float_layers: list[str] = field(default_factory=list)
    sqnr_db: float | None = None
    worst_layer: str = ""
    worst_layer_db: float | None = None
    agreement: float | None = None
    # Against ONNX Runtime on the same int8 file: with its optimizations, and with operators as they are defined.
    peer_units: float | None = None
    peer_units_plain: float | None = None
    peer_agreement: float | None = None
    peer_agreement_plain: float | None = None
    milliseconds: dict[str, dict[str, float]] = field(default_factory=dict)  # by threads, by contender

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Files:
    """The files of one network in the suite's folder."""

    folder: Path
    name: str

    @property
    def network(self) -> Path:
        return self.folder / f"{self.name}.onnx"

    @property
    def calibration(self) -> Path:
        return self.folder / f"{self.name}.calibration.npz"

    @property
    def test(self) -> Path:
        return self.folder / f"{self.name}.test.npz"

    @property
    def quantized(self) -> Path:
        return self.folder / f"{self.name}.int8.onnx"

    def scratch(self, end: str) -> Path:
        return self.folder / f"{self.name}.{end}"


def decibels(reference: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The signal-to-noise ratio of the worst output."""
    ratios = []
    for name, expected in reference.items():
        signal = float(np.square(expected, dtype=np.float64).sum())
        noise = float(np.square(expected - other[name], dtype=np.float64).sum())
        ratios.append(10 * math.log10(signal / noise) if noise > 0 and signal > 0 else math.inf)
    return min(ratios)


def agreement(task: str, one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float | None:
    if task == "signal":
        return None
    name = next(iter(one))
    return float(np.mean(one[name].argmax(1) == other[name].argmax(1)))


def units(scales: dict[str, float], one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest difference in units of the output's scale; of an output computed in float, in 255ths of its range."""
    worst = 0.0
    for name, values in one.items():
        unit = scales.get(name) or float(np.ptp(values)) / 255 or 1.0
        worst = max(worst, float(np.abs(values - other[name]).max()) / unit)
    return worst


def run_program(qconv: Qconv, files: Files, network: Path, images: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    data, output = files.scratch("in.npy"), files.scratch("out.npz")
    np.save(data, images)
    qconv.run(network, data, output, threads)
    with np.load(output) as arrays:
        results = {name: arrays[name] for name in arrays.files}
    data.unlink()
    output.unlink()
    for name, values in results.items():
        if not np.isfinite(values).all():
            raise Failed(f"run: output '{name}' of {network.name} has values that are not finite")
    return results


def judge(qconv: Qconv, files: Files, task: str, threads: int, result: Result) -> None:
    """Quantizes, compares and runs, and fills in everything but times."""
    made = qconv.quantize(files.network, files.calibration, files.quantized, threads)
    result.layers, result.quantized_layers = made["layers"], made["quantized_layers"]
    result.float_layers = made["float_layers"]
    layers = qconv.compare(files.network, files.quantized, files.test, COMPARED_SAMPLES, threads)
    layers = [layer for layer in layers if layer["sqnr_db"] is not None]  # JSON has no infinity: equal ones have none
    if layers:
        worst = min(layers, key=lambda layer: layer["sqnr_db"])
        result.worst_layer, result.worst_layer_db = worst["layer"], worst["sqnr_db"]
    with np.load(files.test) as data:
        images = data["images"]
    ours = run_program(qconv, files, files.network, images, threads)
    theirs = peer.outputs(peer.session(files.network, threads), images)
    for name, values in theirs.items():
        if ours[name].shape != values.shape:
            raise Failed(f"run: output '{name}' is {ours[name].shape}, ONNX Runtime's {values.shape}")
        off = float(np.abs(ours[name] - values).max() / np.abs(values).max())
        if not off <= FLOAT_TOLERANCE:
            raise Failed(f"run: float output '{name}' is {off:.2g} of the largest value off ONNX Runtime's")
    int8 = run_program(qconv, files, files.quantized, images, threads)
    result.sqnr_db = decibels(ours, int8)
    result.agreement = agreement(task, ours, int8)
    scales = peer.output_scales(files.quantized)
    plain = peer.outputs(peer.session(files.quantized, threads, optimize=False), images)
    result.peer_units_plain = units(scales, int8, plain)
    result.peer_agreement_plain = agreement(task, int8, plain)
    optimized = peer.outputs(peer.session(files.quantized, threads), images)
    result.peer_units = units(scales, int8, optimized)
    result.peer_agreement = agreement(task, int8, optimized)
    # Two right implementations round apart here and there, but less than quantization itself costs.
    apart = decibels(int8, plain)
    if apart < result.sqnr_db:
        raise Failed(f"run: int8 outputs are {apart:.1f} dB off ONNX Runtime's, quantization costs {result.sqnr_db:.1f} dB")


def measure_times(qconv: Qconv, files: Files, threads: int) -> dict[str, float]:
    """Milliseconds of a single sample: medians over rounds in which every contender has its turn."""
    data = files.scratch("one.npy")
    with np.load(files.test) as arrays:
        image = arrays["images"][:1]
    np.save(data, image)
    sessions = {
        "ORT f32": peer.session(files.network, threads),
        "ORT int8": peer.session(files.quantized, threads),
    }
    paths = {"qconv f32": files.network, "qconv int8": files.quantized}

    def once(contender: str, repeat: int) -> float:
        if contender in paths:
            return qconv.seconds(paths[contender], data, repeat, threads)
        return peer.seconds(sessions[contender], image, repeat)

    repeats = {c: max(1, round(ROUND_SECONDS / max(once(c, 1), 1e-6))) for c in CONTENDERS}
    times: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    for number in range(ROUNDS):
        for contender in CONTENDERS if number % 2 == 0 else reversed(CONTENDERS):
            times[contender].append(once(contender, repeats[contender]))
    data.unlink()
    return {contender: 1e3 * statistics.median(times[contender]) for contender in CONTENDERS}
