"""Train the x2 super-resolution network of the demo; write photo_x2.onnx, calibration/ and test/ beside this file.

Low resolution is Pillow's bicubic reduction by two. The network is trained on patches of the photographs in TRAINING
and judged on HELD_OUT, which it never sees; see ../LICENSES.md for where they come from. To try other settings, use
--validate NAME: it leaves that training photograph out, judges on it, and writes nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import skimage
import sklearn.datasets
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from int8_simulation import Int8Simulation  # noqa: E402
from onnx_export import export_and_check  # noqa: E402

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.datasets.__file__).parent / "images"
TRAINING = {
    "brick": SKIMAGE / "brick.png",
    "camera": SKIMAGE / "camera.png",
    "chelsea": SKIMAGE / "chelsea.png",
    "china": SKLEARN / "china.jpg",
    "coffee": SKIMAGE / "coffee.png",
    "grass": SKIMAGE / "grass.png",
    "gravel": SKIMAGE / "gravel.png",
    "rocket": SKIMAGE / "rocket.jpg",
}
CALIBRATION = ("camera", "chelsea", "coffee", "rocket")
HELD_OUT = SKIMAGE / "astronaut.png"
HELD_OUT_BOX = (0, 0, 512, 384)


class PhotoNet(nn.Module):
    """[N,3,H,W] in [0,1] to [N,3,2H,2W]: 3x3 convolutions with reflected borders, then one transposed convolution.

    A shortcut leads from the first convolution to the transposed one. Training starts at plain bilinear enlargement
    (every channel after the first convolution holds one colour of the picture, the body adds almost nothing) and spends
    its time on the detail that enlargement misses. Each colour is spread over a third of the channels: carried by one
    channel alone, its large weight would set the scale, and int8 would round the small weights beside it away.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.head = nn.Sequential(self._convolution(3, channels), nn.ReLU())
        body = []
        for _ in range(layers - 2):
            body += [self._convolution(channels, channels), nn.ReLU()]
        self.body = nn.Sequential(*body, self._convolution(channels, channels))
        self.relu = nn.ReLU()
        # One reflected pixel, cropped again by padding=3, gives the outermost output pixels all their taps.
        self.border = nn.ReflectionPad2d(1)
        self.enlarge = nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=3)
        self._start_as_bilinear()

    @staticmethod
    def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    @torch.no_grad()
    def _start_as_bilinear(self) -> None:
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                module.bias.zero_()
        self.body[-1].weight *= 0.1
        channels = self.enlarge.in_channels
        colour = torch.eye(3)[torch.arange(channels) % 3]
        nn.init.normal_(self.head[0].weight, std=0.1)
        self.head[0].weight[:, :, 1, 1] += colour
        self.head[0].bias.zero_()
        taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
        nn.init.normal_(self.enlarge.weight, std=1e-3)
        self.enlarge.weight += (colour / colour.sum(0))[:, :, None, None] * torch.outer(taps, taps)
        self.enlarge.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        head = self.head(x)
        return self.enlarge(self.border(self.relu(head + self.body(head))))


def halve(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def open_even(path: Path, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """RGB, cropped to even sides."""
    image = Image.open(path).convert("RGB")
    left, top, right, bottom = box or (0, 0, image.width, image.height)
    return image.crop((left, top, left + (right - left) // 2 * 2, top + (bottom - top) // 2 * 2))


def to_tensor(image: Image.Image) -> torch.Tensor:
    """8-bit RGB to [1,3,H,W] in [0,1]."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None].contiguous()


def psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    """In dB over all pixels and channels, after clamping to [0,1] and rounding to 8 bits."""
    difference = (image.clamp(0, 1) * 255).round() - truth * 255
    return 10 * math.log10(255**2 / difference.double().square().mean().item())


class Patches:
    """Random pairs of patches (low, high) from pictures: mirrored, turned, colours shuffled, half of them dimmed.

    The colour changes keep the few pictures, some of them grey, from teaching the network which colours go together.
    """

    def __init__(self, pictures: list[Image.Image], size: int, seed: int) -> None:
        self._pairs = [(to_tensor(halve(p)), to_tensor(p)) for p in pictures]
        self._size = size
        self._random = np.random.default_rng(seed)
        area = np.array([p.width * p.height for p in pictures], dtype=np.float64)
        self._chance = area / area.sum()

    def _one(self) -> tuple[torch.Tensor, torch.Tensor]:
        random, size = self._random, self._size
        low, high = self._pairs[random.choice(len(self._pairs), p=self._chance)]
        top = int(random.integers(low.shape[2] - size + 1))
        left = int(random.integers(low.shape[3] - size + 1))
        turns, mirror = int(random.integers(4)), bool(random.integers(2))
        colours = torch.from_numpy(random.permutation(3))
        gain = torch.from_numpy(random.uniform(0.0, 1.0, (3, 1, 1)).astype(np.float32))
        dim = bool(random.integers(2))

        def cut(image: torch.Tensor, k: int) -> torch.Tensor:
            patch = image[0, :, k * top:k * (top + size), k * left:k * (left + size)]
            patch = torch.rot90(patch[colours], turns, (1, 2))
            patch = patch.flip(2) if mirror else patch
            return patch * gain if dim else patch

        return cut(low, 1), cut(high, 2)

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = zip(*(self._one() for _ in range(count)))
        return torch.stack(low), torch.stack(high)


def train(pictures: list[Image.Image], arguments: argparse.Namespace) -> PhotoNet:
    """Adam on the mean absolute error, one-cycle learning rate, a fixed number of steps."""
    torch.manual_seed(arguments.seed)
    model = PhotoNet(arguments.channels, arguments.layers)
    patches = Patches(pictures, arguments.patch, arguments.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=arguments.rate, total_steps=arguments.steps,
                                                   pct_start=0.1)
    start, losses = time.monotonic(), []
    for step in range(1, arguments.steps + 1):
        low, high = patches.batch(arguments.batch)
        loss = F.l1_loss(model(low), high)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 250 == 0 or step == arguments.steps:
            print(f"step {step}/{arguments.steps}  loss {sum(losses) / len(losses):.5f}  "
                  f"{time.monotonic() - start:.0f} s", flush=True)
            losses.clear()
    return model.eval()


def report(model: PhotoNet, calibration: list[torch.Tensor], truth: Image.Image, what: str) -> None:
    low, high = halve(truth), to_tensor(truth)
    bicubic = to_tensor(low.resize(truth.size, Image.Resampling.BICUBIC))
    with torch.no_grad():
        output = model(to_tensor(low))
    simulation = Int8Simulation(model)
    simulation.calibrate(calibration)
    int8 = simulation.run(to_tensor(low))
    print(f"{what}: {truth.width}x{truth.height}, bicubic {psnr(bicubic, high):.2f} dB, "
          f"float32 {psnr(output, high):.2f} dB, simulated int8 {psnr(int8, high):.2f} dB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--layers", type=int, default=6, help="3x3 convolutions")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=32, help="side of a low-resolution patch, in pixels")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1, help="of weights and patches")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--validate", choices=sorted(TRAINING), metavar="NAME",
                        help="judge on this training photograph, left out of training, and write nothing; one of "
                             + ", ".join(sorted(TRAINING)))
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)

    pictures = {name: open_even(path) for name, path in TRAINING.items() if name != arguments.validate}
    model = train(list(pictures.values()), arguments)
    calibration = {name: halve(pictures[name]) for name in CALIBRATION if name in pictures}
    calibration_input = [to_tensor(low) for low in calibration.values()]
    if arguments.validate:
        report(model, calibration_input, open_even(TRAINING[arguments.validate]), arguments.validate)
        return
    truth = open_even(HELD_OUT, HELD_OUT_BOX)
    report(model, calibration_input, truth, "held out")

    axes = {"input": {0: "N", 2: "H", 3: "W"}, "output": {0: "N", 2: "H2", 3: "W2"}}
    for folder in ("calibration", "test"):
        (arguments.output / folder).mkdir(parents=True, exist_ok=True)
    export_and_check(model, torch.rand(2, 3, 24, 20), arguments.output / "photo_x2.onnx", axes,
                     others=[*calibration_input, to_tensor(halve(truth))])
    for name, low in calibration.items():
        low.save(arguments.output / "calibration" / f"{name}.png", optimize=True)
    halve(truth).save(arguments.output / "test" / "low.png", optimize=True)
    truth.save(arguments.output / "test" / "high.png", optimize=True)


if __name__ == "__main__":
    main()
