"""What is compared, at which sizes, and the files it takes. Standard library alone: who measures memory must be small."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BATCHES = (1, 8)


@dataclass(frozen=True)
class Network:
    """`size` is that of one input; the test data of the catalogue is repeated until it fills it."""

    name: str
    title: str
    size: tuple[int, ...]


NETWORKS = {
    network.name: network
    for network in (
        Network("resnet50", "ResNet-50", (3, 224, 224)),
        Network("mobilenet_v2", "MobileNetV2", (3, 224, 224)),
        Network("efficientnet_b0", "EfficientNet-B0", (3, 224, 224)),
        Network("unet_2d", "U-Net", (3, 256, 256)),
        Network("r3d_18", "R3D-18", (3, 16, 112, 112)),
    )
}


@dataclass(frozen=True)
class Files:
    """Everything that is written about one network before anything is timed."""

    folder: Path
    name: str

    def file(self, end: str) -> Path:
        return self.folder / f"{self.name}.{end}"

    @property
    def quantized(self) -> Path:
        return self.file("speed.int8.onnx")

    def input(self, batch: int) -> Path:
        return self.file(f"speed.in{batch}.npy")

    @property
    def reference(self) -> Path:
        """What the float network gives for the largest batch."""
        return self.file("speed.float.npy")


@dataclass(frozen=True)
class Setting:
    """One way to run a contender: the file of the network that it takes, and options of its own."""

    name: str
    end: str  # of the file
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contender:
    """Who takes turns. Of several settings the one that is fastest in a first turn stays."""

    name: str
    script: str
    settings: tuple[Setting, ...]
    modules: tuple[str, ...] = ()  # that its turns import

    def command(self, setting: Setting, files: Files, batch: int, threads: int, seconds: float) -> list[str]:
        return [
            sys.executable,
            str(HERE / self.script),
            str(files.file(setting.end)),
            str(files.input(batch)),
            *(f"--threads={threads}", f"--seconds={seconds}"),
            *setting.options,
        ]

    def environment(self) -> dict[str, str]:
        """Peers may live in folders of their own, which must not change what others import."""
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        if self.name == "OpenVINO" and "QCONV_PEER_PATH" in environment:
            environment["PYTHONPATH"] = environment["QCONV_PEER_PATH"]
        return environment


QDQ = "speed.int8.onnx"
CONTENDERS = (
    Contender("qconv", "turn_qconv.py", (Setting("", QDQ),)),
    Contender(
        "ONNX Runtime",
        "turn_onnxruntime.py",
        (
            Setting("as it comes", QDQ),
            Setting("fixed sizes, clean-up", QDQ, ("--fixed",)),
            Setting("its own QOperator file", "speed.qoperator.onnx", ("--fixed",)),
        ),
        ("numpy", "onnxruntime"),
    ),
    Contender(
        "OpenVINO",
        "turn_openvino.py",
        (Setting("latency", QDQ), Setting("latency, not pinned", QDQ, ("--unpinned",))),
        ("numpy", "openvino"),
    ),
    Contender(
        "PyTorch",
        "turn_torch.py",
        (
            Setting("engine x86", "speed.x86.pt", ("--engine=x86",)),
            Setting("engine fbgemm", "speed.x86.pt", ("--engine=fbgemm",)),
            Setting("engine onednn", "speed.onednn.pt", ("--engine=onednn",)),
        ),
        ("numpy", "torch"),
    ),
)
