"""Networks that torchvision does not have, as PyTorch modules: U-Nets, a YOLO-style detector, networks for sound."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORMS = {
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
    ("instance", 3): lambda channels: nn.InstanceNorm3d(channels, affine=True),
}


class UNet(nn.Module):
    """Two convolutions per level, max pooling down, transposed convolutions up, what was on the way concatenated.

    With batch normalization and ReLU, or with instance normalization and leaky ReLU, as networks for volumes have it.
    """

    def __init__(self, ndim: int, inputs: int, outputs: int, widths: list[int], norm: str = "batch") -> None:
        super().__init__()
        self.ndim, self.norm = ndim, norm
        self.down = nn.ModuleList(self.block(a, b) for a, b in pairwise([inputs, *widths]))
        self.pool = POOLS[ndim](2)
        reversed_pairs = list(pairwise(reversed(widths)))
        self.up = nn.ModuleList(TRANSPOSED[ndim](a, b, 2, stride=2) for a, b in reversed_pairs)
        self.merge = nn.ModuleList(self.block(2 * b, b) for _, b in reversed_pairs)
        self.head = CONVOLUTIONS[ndim](widths[0], outputs, 1)

    def block(self, inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers.append(CONVOLUTIONS[self.ndim](channels, outputs, 3, padding=1, bias=False))
            layers.append(NORMS[self.norm, self.ndim](outputs))
            layers.append(nn.ReLU() if self.norm == "batch" else nn.LeakyReLU(0.01))
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skipped = []
        for number, block in enumerate(self.down):
            x = block(self.pool(x) if number else x)
            skipped.append(x)
        skipped.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skipped.pop()], 1))
        return self.head(x)


class ConvSiLU(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.SiLU())


class SplitBlock(nn.Module):
    """One half of the channels goes through a chain of bottlenecks; every link of it is concatenated at the end."""

    def __init__(self, inputs: int, outputs: int, count: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.residual = residual
        self.enter = ConvSiLU(inputs, 2 * half)
        chain = [nn.Sequential(ConvSiLU(half, half, 3), ConvSiLU(half, half, 3)) for _ in range(count)]
        self.chain = nn.ModuleList(chain)
        self.leave = ConvSiLU((2 + count) * half, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        links = list(self.enter(x).chunk(2, 1))
        for link in self.chain:
            last = links[-1]
            links.append(last + link(last) if self.residual else link(last))
        return self.leave(torch.cat(links, 1))


class PoolPyramid(nn.Module):
    """Three max poolings in a row, all concatenated: windows of 5, 9 and 13."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = ConvSiLU(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = ConvSiLU(2 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        links = [self.enter(x)]
        for _ in range(3):
            links.append(self.pool(links[-1]))
        return self.leave(torch.cat(links, 1))


class Detector(nn.Module):
    """YOLO-style: a backbone of split blocks, a neck that goes up and down again, heads at three strides without anchors.

    Gives (N, 4 + classes, places): the distances to the four edges of a box, each the mean of a distribution over `bins`
    (a Softmax and a 1x1 convolution with constant weights), and a score per class.
    """

    def __init__(self, width: int = 16, classes: int = 80, bins: int = 16) -> None:
        super().__init__()
        w = [width * 2**i for i in range(5)]
        self.classes, self.bins = classes, bins
        self.stem = nn.Sequential(ConvSiLU(3, w[0], 3, 2), ConvSiLU(w[0], w[1], 3, 2), SplitBlock(w[1], w[1], 1, True))
        self.stage3 = nn.Sequential(ConvSiLU(w[1], w[2], 3, 2), SplitBlock(w[2], w[2], 2, True))
        self.stage4 = nn.Sequential(ConvSiLU(w[2], w[3], 3, 2), SplitBlock(w[3], w[3], 2, True))
        last = ConvSiLU(w[3], w[4], 3, 2), SplitBlock(w[4], w[4], 1, True), PoolPyramid(w[4])
        self.stage5 = nn.Sequential(*last)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up4 = SplitBlock(w[4] + w[3], w[3], 1, False)
        self.up3 = SplitBlock(w[3] + w[2], w[2], 1, False)
        self.down3 = ConvSiLU(w[2], w[2], 3, 2)
        self.down4 = SplitBlock(w[2] + w[3], w[3], 1, False)
        self.down4_5 = ConvSiLU(w[3], w[3], 3, 2)
        self.down5 = SplitBlock(w[3] + w[4], w[4], 1, False)
        self.boxes = nn.ModuleList(self.head(channels, 4 * bins) for channels in w[2:])
        self.scores = nn.ModuleList(self.head(channels, classes) for channels in w[2:])
        self.mean = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.mean.weight.data[:] = torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1)

    @staticmethod
    def head(channels: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(ConvSiLU(channels, 64, 3), ConvSiLU(64, 64, 3), nn.Conv2d(64, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p3 = self.stage3(self.stem(x))
        p4 = self.stage4(p3)
        p5 = self.stage5(p4)
        p4 = self.up4(torch.cat([self.up(p5), p4], 1))
        p3 = self.up3(torch.cat([self.up(p4), p3], 1))
        p4 = self.down4(torch.cat([self.down3(p3), p4], 1))
        p5 = self.down5(torch.cat([self.down4_5(p4), p5], 1))
        levels = []
        for level, box, score in zip((p3, p4, p5), self.boxes, self.scores, strict=True):
            levels.append(torch.cat([box(level), score(level)], 1).flatten(2))
        boxes, scores = torch.cat(levels, 2).split([4 * self.bins, self.classes], 1)
        n, _, places = boxes.shape
        boxes = boxes.view(n, 4, self.bins, places).transpose(1, 2).softmax(1)
        return torch.cat([self.mean(boxes).view(n, 4, places), scores.sigmoid()], 1)


class Chomp(nn.Module):
    """Takes off what padding on both sides added at the end, which makes a convolution causal."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, : -self.count].contiguous()


class CausalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        padding = (kernel - 1) * dilation
        for channels in (inputs, outputs):
            layers.append(nn.Conv1d(channels, outputs, kernel, padding=padding, dilation=dilation))
            layers += [Chomp(padding), nn.ReLU(), nn.Dropout(0.1)]
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class TemporalNet(nn.Module):
    """A temporal convolutional network: causal convolutions whose dilation doubles with every block."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, kernel: int = 3) -> None:
        super().__init__()
        widths = [inputs] + [width] * depth
        blocks = [CausalBlock(a, b, kernel, 2**i) for i, (a, b) in enumerate(pairwise(widths))]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv1d(width, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x))


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of (N, C, L)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SpeechEncoder(nn.Module):
    """The convolutions of wav2vec 2.0: seven that make 50 vectors of a second of sound, and those of the positions.

    With `norm` "group" the first is normalized per channel, with "layer" every one over its channels.
    """

    def __init__(self, norm: str, width: int = 512, outputs: int = 768) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        shape = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]
        for number, (kernel, stride) in enumerate(shape):
            layers.append(nn.Conv1d(width if number else 1, width, kernel, stride, bias=norm == "layer"))
            if norm == "layer":
                layers.append(ChannelNorm(width))
            elif number == 0:
                layers.append(nn.GroupNorm(width, width))
            layers.append(nn.GELU())
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, outputs)
        self.positions = nn.Conv1d(outputs, outputs, 128, padding=64, groups=16)
        self.last_norm = nn.LayerNorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(self.norm(self.features(x).transpose(1, 2)))
        # An even kernel with padding on both sides makes one position too many.
        positions = F.gelu(self.positions(x.transpose(1, 2))[:, :, :-1])
        return self.last_norm(x + positions.transpose(1, 2))


class DilatedBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: list[int]) -> None:
        super().__init__()
        self.dilated = nn.ModuleList()
        self.plain = nn.ModuleList()
        for d in dilations:
            self.dilated.append(nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2))
            self.plain.append(nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, 0.1)), 0.1))
        return x


class Vocoder(nn.Module):
    """The generator of HiFi-GAN: sound from mel spectra, by transposed convolutions and sums of dilated blocks."""

    def __init__(self, mels: int, width: int, rates: list[int], kernels: list[int], dilations: list[int]) -> None:
        super().__init__()
        self.enter = nn.Conv1d(mels, width, 7, padding=3)
        self.up = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for rate in rates:
            self.up.append(nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, padding=rate // 2))
            width //= 2
            self.blocks.append(nn.ModuleList(DilatedBlock(width, kernel, dilations) for kernel in kernels))
        self.leave = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        for up, blocks in zip(self.up, self.blocks, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = sum((block(x) for block in blocks[1:]), blocks[0](x)) / len(blocks)
        return torch.tanh(self.leave(F.leaky_relu(x)))


class FirstOutput(nn.Module):
    """A segmentation network of torchvision without its dict."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)["out"]


class BoxesAndScores(nn.Module):
    """A single-shot detector of torchvision without the choice of boxes that follows: backbone and heads."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = network.backbone, network.head

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = self.head(list(self.backbone(x).values()))
        return result["bbox_regression"], result["cls_logits"]
