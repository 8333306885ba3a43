"""The networks of the suite: what makes each, what goes in, what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torchvision.models as tv
from torch import nn
from torchvision.models import detection, segmentation, video

import models

BATCH = {0: "batch"}
IMAGE = {0: "batch", 2: "height", 3: "width"}
SEQUENCE = {0: "batch", 2: "length"}
FILM = {0: "batch", 2: "frames"}
VOLUME = {0: "batch", 2: "depth", 3: "height", 4: "width"}


@dataclass(frozen=True)
class Entry:
    """One network. `task` says what agreement means: "class" (one per input), "pixel" (one per place) or "signal" (none)."""

    make: Callable[[], nn.Module]
    size: tuple[int, ...]  # of one input, without the batch
    task: str = "class"
    axes: dict[int, str] = field(default_factory=lambda: BATCH)  # of the input, those that stay open

    @property
    def elements(self) -> int:
        return math.prod(self.size)


def classifier(make: Callable[..., nn.Module], side: int = 224, axes: dict[int, str] = BATCH, **options: object) -> Entry:
    return Entry(partial(make, weights=None, **options), (3, side, side), axes=axes)


def segmenter(make: Callable[..., nn.Module], axes: dict[int, str] = BATCH) -> Entry:
    def build() -> nn.Module:
        return models.FirstOutput(make(weights=None, weights_backbone=None))

    return Entry(build, (3, 256, 256), "pixel", axes)


def film(make: Callable[..., nn.Module], frames: int = 8) -> Entry:
    return Entry(partial(make, weights=None), (3, frames, 112, 112), axes=FILM)


def ssdlite() -> nn.Module:
    return models.BoxesAndScores(detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None))


ENTRIES: dict[str, Entry] = {
    "resnet18": classifier(tv.resnet18, axes=IMAGE),
    "resnet50": classifier(tv.resnet50),
    "resnext50": classifier(tv.resnext50_32x4d),
    "wide_resnet50": classifier(tv.wide_resnet50_2),
    "vgg16": classifier(tv.vgg16),
    "densenet121": classifier(tv.densenet121),
    "mobilenet_v2": classifier(tv.mobilenet_v2),
    "mobilenet_v3_large": classifier(tv.mobilenet_v3_large),
    "mobilenet_v3_small": classifier(tv.mobilenet_v3_small, axes=IMAGE),
    "efficientnet_b0": classifier(tv.efficientnet_b0),
    "shufflenet_v2": classifier(tv.shufflenet_v2_x1_0),
    "squeezenet": classifier(tv.squeezenet1_1),
    "googlenet": classifier(tv.googlenet, aux_logits=False, init_weights=False),
    "inception_v3": classifier(tv.inception_v3, side=299, aux_logits=False, init_weights=False),
    "regnet_y_400mf": classifier(tv.regnet_y_400mf),
    "regnet_x_400mf": classifier(tv.regnet_x_400mf),
    "mnasnet": classifier(tv.mnasnet1_0),
    "convnext_tiny": classifier(tv.convnext_tiny),
    "fcn_resnet50": segmenter(segmentation.fcn_resnet50, IMAGE),
    "deeplabv3_mobilenet": segmenter(segmentation.deeplabv3_mobilenet_v3_large),
    "lraspp_mobilenet": segmenter(segmentation.lraspp_mobilenet_v3_large, IMAGE),
    "unet_2d": Entry(partial(models.UNet, 2, 3, 8, [32, 64, 128, 256]), (3, 128, 128), "pixel", IMAGE),
    "unet_3d": Entry(partial(models.UNet, 3, 1, 4, [16, 32, 64]), (1, 16, 48, 48), "pixel", VOLUME),
    "unet_3d_instance": Entry(partial(models.UNet, 3, 1, 4, [16, 32, 64], "instance"), (1, 16, 48, 48), "pixel"),
    "ssdlite_mobilenet": Entry(ssdlite, (3, 320, 320), "signal"),
    "yolo": Entry(models.Detector, (3, 320, 320), "signal", IMAGE),
    "r3d_18": film(video.r3d_18, frames=16),
    "r2plus1d_18": film(video.r2plus1d_18),
    "tcn": Entry(partial(models.TemporalNet, 8, 10, 64, 6), (8, 400), "pixel", SEQUENCE),
    "speech_group_norm": Entry(partial(models.SpeechEncoder, "group"), (1, 8000), "signal", SEQUENCE),
    "speech_layer_norm": Entry(partial(models.SpeechEncoder, "layer"), (1, 8000), "signal", SEQUENCE),
    "hifigan": Entry(
        partial(models.Vocoder, 80, 128, [8, 8, 2, 2], [3, 7, 11], [1, 3, 5]), (80, 32), "signal", SEQUENCE
    ),
}
