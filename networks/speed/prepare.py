"""Writes what the comparison of one network takes: inputs, the float network's output, and the int8 network in all forms.

    PYTHON networks/speed/prepare.py NAME FOLDER QCONV

ONNX Runtime and OpenVINO run the file that `qconv quantize` wrote. PyTorch cannot read it: it gets the same weights, built
anew from the same seed, quantized by its own graph mode on the same calibration data.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import numpy as np  # noqa: E402
import onnxruntime.quantization as ort_quantization  # noqa: E402
import torch  # noqa: E402
from cases import BATCHES, NETWORKS, Files, Network  # noqa: E402
from export import build, export  # noqa: E402
from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: E402
from torch.ao.quantization import MinMaxObserver, QConfig, get_default_qconfig_mapping  # noqa: E402
from torch.ao.quantization.backend_config import get_native_backend_config, get_onednn_backend_config  # noqa: E402
from torch.ao.quantization.qconfig_mapping import QConfigMapping  # noqa: E402
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx  # noqa: E402

import peer  # noqa: E402
import sources  # noqa: E402
from catalogue import ENTRIES  # noqa: E402
from program import Qconv, all_cores  # noqa: E402

CALIBRATION_BATCH = 8


def inputs(files: Files, network: Network) -> np.ndarray:
    """Samples of the largest batch, repeated side by side until they have the size."""
    with np.load(files.file("test.npz")) as data:
        images = data["images"][: max(BATCHES)]
    repeats = [-(-wanted // there) for wanted, there in zip(network.size, images.shape[1:], strict=True)]
    images = np.tile(images, [1, *repeats])
    return np.ascontiguousarray(images[(slice(None), *(slice(size) for size in network.size))])


class Calibration(ort_quantization.CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.batches = iter(np.array_split(images, max(1, len(images) // CALIBRATION_BATCH)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"input": batch}


def write_qoperator(files: Files, calibration: np.ndarray) -> None:
    """ONNX Runtime's own quantization in its other format, in case that is faster."""
    ready = files.file("speed.ready.onnx")
    quant_pre_process(str(files.file("onnx")), str(ready), skip_symbolic_shape=True)
    ort_quantization.quantize_static(
        str(ready),
        str(files.file("speed.qoperator.onnx")),
        Calibration(calibration),
        quant_format=ort_quantization.QuantFormat.QOperator,
        per_channel=True,
        activation_type=ort_quantization.QuantType.QUInt8,
        weight_type=ort_quantization.QuantType.QInt8,
    )
    ready.unlink()


def torch_mapping() -> QConfigMapping:
    """PyTorch's own for its x86 engine, but without its observer of histograms, which takes minutes and changes no time."""
    mapping = get_default_qconfig_mapping("x86")
    activation = MinMaxObserver.with_args(dtype=torch.quint8, reduce_range=True)
    return mapping.set_global(QConfig(activation=activation, weight=mapping.global_qconfig.weight))


def write_torch(files: Files, network: torch.nn.Module, calibration: np.ndarray, example: np.ndarray) -> None:
    order = torch.channels_last_3d if example.ndim == 5 else torch.channels_last
    sample = torch.from_numpy(example).contiguous(memory_format=order)
    backends = {"x86": get_native_backend_config(), "onednn": get_onednn_backend_config()}
    for engine, backend in backends.items():
        torch.backends.quantized.engine = engine
        prepared = prepare_fx(network, torch_mapping(), (sample,), backend_config=backend)
        for batch in torch.from_numpy(calibration).split(CALIBRATION_BATCH):
            prepared(batch)
        converted = convert_fx(prepared, backend_config=backend)
        program = torch.jit.freeze(torch.jit.trace(converted, sample, check_trace=False).eval())
        torch.jit.save(program, str(files.file(f"speed.{engine}.pt")))


@torch.no_grad()
def main() -> None:
    name, folder, program = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")  # torch.ao and torch.jit are deprecated, and say so
    network, files = NETWORKS[name], Files(folder, name)
    if not sources.fresh([files.file(end) for end in ("onnx", "calibration.npz", "test.npz")], sources.EXPORT):
        export(name, ENTRIES[name], folder)
    images = inputs(files, network)
    for batch in BATCHES:
        np.save(files.input(batch), images[:batch])
    expected = peer.outputs(peer.session(files.file("onnx"), all_cores()), images)
    np.save(files.reference, expected["output"])
    Qconv(program).quantize(files.file("onnx"), files.file("calibration.npz"), files.quantized, all_cores())
    with np.load(files.file("calibration.npz")) as data:
        calibration = data["images"]
    write_qoperator(files, calibration)
    write_torch(files, build(name, ENTRIES[name]), calibration, images[:1])


if __name__ == "__main__":
    main()
