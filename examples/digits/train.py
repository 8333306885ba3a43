"""Train the digit classifier of the demo; write digits.onnx, calibration.npz and test.npz beside this file.

The 1797 digits of scikit-learn are split once, by class and at random: 1197 to train on, 600 held out. The held-out
images are used for one thing, the figures printed at the end. To try other settings, use --validate N: it trains on all
but N of the training images, judges on those N, and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from int8_simulation import Int8Simulation  # noqa: E402
from onnx_export import export_and_check  # noqa: E402

HELD_OUT = 600
CALIBRATION = 160


class ConvBatchNorm(nn.Sequential):
    """3x3 convolution and batch norm; no activation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBatchNorm(channels, channels)
        self.relu1 = nn.ReLU()
        self.second = ConvBatchNorm(channels, channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu2(x + self.second(self.relu1(self.first(x))))


class DigitNet(nn.Module):
    """[N,1,8,8] in [0,1] to [N,10] scores: 32 channels at 8x8, 64 at 4x4, 128 at 2x2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBatchNorm(1, 32), nn.ReLU())
        self.block1 = Residual(32)
        self.down1 = nn.Sequential(ConvBatchNorm(32, 64), nn.ReLU(), nn.MaxPool2d(2))
        self.block2 = Residual(64)
        self.down2 = nn.Sequential(ConvBatchNorm(64, 128, stride=2), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down1(self.block1(self.stem(x)))
        x = self.down2(self.block2(x))
        return self.classify(self.flatten(self.pool(x)))


def load_split() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images and labels, held-out images and labels. The split does not depend on --seed."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    parts = train_test_split(images, labels, test_size=HELD_OUT, stratify=labels, random_state=0)
    train_x, test_x, train_y, test_y = (torch.from_numpy(p) for p in parts)
    return train_x, train_y, test_x, test_y


def augment(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Random small rotation, scaling, shear and shift (all by bilinear resampling), then noise."""
    n = images.shape[0]

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(n, generator=random) * 2 - 1) * limit

    angle, shear = uniform(0.26), uniform(0.15)
    scale_x, scale_y = 1 + uniform(0.12), 1 + uniform(0.12)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # A shift of 0.25 in grid units is one pixel of eight.
    rows = [torch.stack([cos * scale_x, -sin + shear, uniform(0.25)], 1),
            torch.stack([sin, cos * scale_y, uniform(0.25)], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, align_corners=False)
    noise = torch.randn(images.shape, generator=random) * 0.05
    return (moved + noise).clamp(0, 1)


def train(images: torch.Tensor, labels: torch.Tensor, epochs: int, batch: int, seed: int) -> DigitNet:
    """A fixed number of epochs, a one-cycle learning rate, label smoothing; the last state is the result."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = DigitNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=epochs * steps)
    start = time.monotonic()
    for epoch in range(1, epochs + 1):
        model.train()
        order = torch.randperm(len(images), generator=random)
        total = 0.0
        for step in range(steps):
            chosen = order[step * batch:(step + 1) * batch]
            loss = F.cross_entropy(model(augment(images[chosen], random)), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch}/{epochs}  loss {total / steps:.4f}  {time.monotonic() - start:.0f} s", flush=True)
    return model.eval()


def top1(scores: torch.Tensor, labels: torch.Tensor) -> float:
    return 100.0 * (scores.argmax(1) == labels).float().mean().item()


def report(model: DigitNet, calibration: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, what: str) -> None:
    with torch.no_grad():
        float_scores = model(images)
    simulation = Int8Simulation(model)
    simulation.calibrate([calibration])
    int8_scores = simulation.run(images)
    changed = (float_scores.argmax(1) != int8_scores.argmax(1)).sum().item()
    print(f"{what}: {len(images)} images, float32 top-1 {top1(float_scores, labels):.2f}%, "
          f"simulated int8 top-1 {top1(int8_scores, labels):.2f}%, {changed} predictions changed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1, help="of weights, batches and augmentation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--validate", type=int, default=0, metavar="N",
                        help="judge on N of the training images, left out of training, and write nothing")
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)

    train_x, train_y, test_x, test_y = load_split()
    if arguments.validate:
        parts = train_test_split(train_x.numpy(), train_y.numpy(), test_size=arguments.validate,
                                 stratify=train_y.numpy(), random_state=0)
        train_x, test_x, train_y, test_y = (torch.from_numpy(p) for p in parts)
    model = train(train_x, train_y, arguments.epochs, arguments.batch, arguments.seed)
    # The split shuffled the training images, so the first ones are a random choice.
    calibration = train_x[:CALIBRATION]
    report(model, calibration, test_x, test_y, "validation" if arguments.validate else "held out")
    if arguments.validate:
        return

    arguments.output.mkdir(parents=True, exist_ok=True)
    export_and_check(model, test_x[:2], arguments.output / "digits.onnx", {"input": {0: "N"}, "output": {0: "N"}},
                     others=[test_x], keep_batch_norm=True)
    np.savez(arguments.output / "calibration.npz", images=calibration.numpy())
    np.savez(arguments.output / "test.npz", images=test_x.numpy(), labels=test_y.numpy())


if __name__ == "__main__":
    main()
