"""Small versions of real networks, for the tests that have no PyTorch: make_models.py writes them as torch_*.

They have the operators and the patterns that PyTorch's exporter writes for the networks of networks/catalogue.py, with
few channels. Those that are no more than that suite's modules made small are those.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "networks"))

import models  # noqa: E402
import weights  # noqa: E402

LIMIT_BYTES = 60_000
OPSET = 17
# Older ones have several nodes in place of HardSwish and LayerNormalization, and attributes in place of some inputs; from
# opset 20 on GELU is one node.
OTHER_OPSETS = [("convnext", 11), ("convnext", 20), ("mobilenet_v3", 11), ("yolo", 11)]
IMAGE = {0: "N", 2: "H", 3: "W"}
SEQUENCE = {0: "N", 2: "L"}


class Gate(nn.Module):
    """Squeeze and excitation; the gate is the first operand of the product, as torchvision has it."""

    def __init__(self, channels: int, inner: nn.Module, outer: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), inner, nn.Conv2d(4, channels, 1), outer
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) * x


class Inverted(nn.Module):
    """Wide in the middle: 1x1, depthwise, gate, 1x1, and a residual where the sizes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: Callable[[], nn.Module], gate: nn.Module | None) -> None:
        super().__init__()
        wide = 2 * inputs
        layers: list[nn.Module] = [nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), act()]
        layers += [nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), act()]
        layers += [gate] if gate else []
        layers += [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def classifier(*features: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


def mobilenet_v3() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
    first = Inverted(8, 8, 1, nn.ReLU, Gate(16, nn.ReLU(), nn.Hardsigmoid()))
    second = Inverted(8, 12, 2, nn.Hardswish, Gate(16, nn.ReLU(), nn.Hardsigmoid()))
    head = [nn.Flatten(), nn.Linear(12, 16), nn.Hardswish(), nn.Dropout(), nn.Linear(16, 5)]
    return nn.Sequential(stem, first, second, nn.AdaptiveAvgPool2d(1), *head)


def efficientnet() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
    blocks = [Inverted(8, 8, 1, nn.SiLU, Gate(16, nn.SiLU(), nn.Sigmoid())) for _ in range(2)]
    return classifier(stem, *blocks, channels=8)


class Permute(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.order)


class ConvNextBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 3 * channels),
            nn.GELU(),
            nn.Linear(3 * channels, channels),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer_scale * self.body(x) + x


class ImageNorm(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), ImageNorm(8, eps=1e-6))
    down = nn.Sequential(ImageNorm(8, eps=1e-6), nn.Conv2d(8, 12, 2, 2))
    head = [nn.AdaptiveAvgPool2d(1), ImageNorm(12, eps=1e-6), nn.Flatten(), nn.Linear(12, 5)]
    return nn.Sequential(stem, ConvNextBlock(8), down, ConvNextBlock(12), *head)


class ShuffleUnit(nn.Module):
    """Half the channels pass; then those of both halves alternate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False), nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        passed, changed = x.chunk(2, dim=1)
        x = torch.cat([passed, self.body(changed)], 1)
        n, channels, height, width = x.size()
        return x.view(n, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(n, channels, height, width)


class ShuffleNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), ShuffleUnit(8), ShuffleUnit(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean([2, 3]))


class DenseNet(nn.Module):
    """Normalization comes first, so no convolution can take it in; every layer sees all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(self.layer(6 + 4 * i, 4, 3) for i in range(3))
        self.transition = nn.Sequential(self.layer(18, 8, 1), nn.AvgPool2d(2))
        self.head = nn.Linear(8, 5)

    @staticmethod
    def layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [self.stem(x)]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, 1)))
        x = F.relu(self.transition(torch.cat(seen, 1)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Yolo(nn.Module):
    """Two levels of the detector: split blocks, pyramid of poolings, up and down again, boxes as means of distributions."""

    def __init__(self, classes: int = 3, bins: int = 4) -> None:
        super().__init__()
        self.classes, self.bins = classes, bins
        self.stem = nn.Sequential(models.ConvSiLU(3, 4, 3, 2), models.SplitBlock(4, 8, 1, True))
        self.deep = nn.Sequential(models.ConvSiLU(8, 8, 3, 2), models.PoolPyramid(8))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.merge = models.SplitBlock(16, 8, 1, False)
        self.down = models.ConvSiLU(8, 8, 3, 2)
        self.heads = nn.ModuleList(nn.Conv2d(channels, 4 * bins + classes, 1) for channels in (8, 16))
        self.mean = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.mean.weight.data[:] = torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shallow = self.stem(x)
        deep = self.deep(shallow)
        shallow = self.merge(torch.cat([self.up(deep), shallow], 1))
        deep = torch.cat([self.down(shallow), deep], 1)
        levels = [head(level).flatten(2) for head, level in zip(self.heads, (shallow, deep), strict=True)]
        boxes, scores = torch.cat(levels, 2).split([4 * self.bins, self.classes], 1)
        n, _, places = boxes.shape
        boxes = self.mean(boxes.view(n, 4, self.bins, places).transpose(1, 2).softmax(1)).view(n, 4, places)
        return torch.cat([boxes, scores.sigmoid()], 1)


class SingleShotHeads(nn.Module):
    """Boxes and scores of two levels, as torchvision's detectors put them in rows: two outputs."""

    def __init__(self, classes: int = 3, anchors: int = 2) -> None:
        super().__init__()
        self.levels = nn.ModuleList([nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1)])
        self.boxes = nn.ModuleList(nn.Conv2d(6, 4 * anchors, 1) for _ in range(2))
        self.scores = nn.ModuleList(nn.Conv2d(6, classes * anchors, 1) for _ in range(2))

    @staticmethod
    def rows(x: torch.Tensor, columns: int) -> torch.Tensor:
        n, _, height, width = x.shape
        return x.view(n, -1, columns, height, width).permute(0, 3, 4, 1, 2).reshape(n, -1, columns)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes, scores = [], []
        for level, box, score in zip(self.levels, self.boxes, self.scores, strict=True):
            x = F.relu6(level(x))
            boxes.append(self.rows(box(x), 4))
            scores.append(self.rows(score(x), 3))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class Segmentation(nn.Module):
    """Dilated convolutions and a pooled branch side by side; resized to the sizes of what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.branches = nn.ModuleList(nn.Conv2d(6, 4, 3, padding=d, dilation=d) for d in (1, 2))
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 1), nn.ReLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 12, 1), nn.Sigmoid())
        self.head = nn.Conv2d(12, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.stem(x)
        parts = [F.relu(branch(features)) for branch in self.branches]
        pooled = self.pooled(features)
        parts.append(F.interpolate(pooled, features.shape[-2:], mode="bilinear", align_corners=False))
        merged = torch.cat(parts, 1) * self.gate(features)
        return F.interpolate(self.head(merged), x.shape[-2:], mode="bilinear", align_corners=False)


# What makes each, the size of the example and the axes that stay open.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[int, str]]] = {
    "mobilenet_v3": (mobilenet_v3, (2, 3, 12, 12), {0: "N"}),
    "efficientnet": (efficientnet, (2, 3, 12, 10), IMAGE),
    "convnext": (convnext, (2, 3, 16, 16), {0: "N"}),
    "shufflenet": (ShuffleNet, (2, 3, 12, 12), {0: "N"}),
    "densenet": (DenseNet, (2, 3, 10, 10), {0: "N"}),
    "yolo": (Yolo, (2, 3, 16, 16), IMAGE),
    "ssd": (SingleShotHeads, (2, 3, 12, 12), {0: "N"}),
    "segmentation": (Segmentation, (2, 3, 12, 14), IMAGE),
    "unet": (partial(models.UNet, 2, 3, 4, [4, 6, 8]), (2, 3, 16, 16), IMAGE),
    "unet3d_instance": (partial(models.UNet, 3, 1, 2, [3, 4], "instance"), (2, 1, 4, 6, 8), {0: "N"}),
    "tcn": (partial(models.TemporalNet, 2, 3, 6, 3), (2, 2, 20), SEQUENCE),
    "hifigan": (partial(models.Vocoder, 6, 8, [4, 2], [3, 5], [1, 3]), (2, 6, 5), SEQUENCE),
    "speech_group": (partial(models.SpeechEncoder, "group", 4, 16), (2, 1, 1200), SEQUENCE),
    "speech_layer": (partial(models.SpeechEncoder, "layer", 4, 16), (2, 1, 1200), SEQUENCE),
}


@torch.no_grad()
def build(name: str) -> tuple[nn.Module, torch.Tensor]:
    make, size, _ = NETWORKS[name]
    torch.manual_seed(7)
    network = make().eval()
    x = torch.randn(size)
    weights.vary(network)
    weights.settle_layers(network, x)
    return network, x


def write(name: str, folder: Path, opset: int = OPSET) -> None:
    network, x = build(name)
    path = folder / (f"torch_{name}.onnx" if opset == OPSET else f"torch_{name}_opset{opset}.onnx")
    with torch.no_grad():
        results = network(x)
    outputs = ["y"] if isinstance(results, torch.Tensor) else [f"y{i}" for i in range(len(results))]
    axes = {"x": NETWORKS[name][2]} | dict.fromkeys(outputs, {0: "N"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and says so at length
        torch.onnx.export(network, (x,), str(path), input_names=["x"], output_names=outputs, opset_version=opset,
                          dynamic_axes=axes, dynamo=False)  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    arrays = {f"out{i}": result for i, result in enumerate(session.run(outputs, {"x": x.numpy()}))}
    np.savez(path.with_suffix(".npz"), in0=x.numpy(), **arrays)
    for file in (path, path.with_suffix(".npz")):
        if file.stat().st_size > LIMIT_BYTES:
            sys.exit(f"{file} is larger than {LIMIT_BYTES} bytes")


def write_all(folder: Path) -> None:
    for name in NETWORKS:
        write(name, folder)
    for name, opset in OTHER_OPSETS:
        write(name, folder, opset)


if __name__ == "__main__":
    write_all(Path(__file__).resolve().parent / "models")
