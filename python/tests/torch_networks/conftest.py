import warnings

import pytest
import torch
import torch.ao.quantization as tq
from torch import nn


@pytest.fixture(autouse=True)
def engine():
    """FBGEMM, whose bytes are compared with; fixed random numbers; none of PyTorch's notices of deprecation."""
    torch.backends.quantized.engine = "fbgemm"
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Residual(nn.Module):
    """A small network with what quantized networks are made of: 1-D to 3-D would not fit one, so it is 2-D."""

    def __init__(self):
        super().__init__()
        self.quant = tq.QuantStub()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU())
        self.conv = nn.Conv2d(16, 16, 1, bias=False)
        self.add = torch.ao.nn.quantized.FloatFunctional()
        self.up = nn.ConvTranspose2d(16, 8, 4, 2, 1)
        self.fc = nn.Linear(8, 5)
        self.dequant = tq.DeQuantStub()

    def forward(self, x):
        x = self.stem(self.quant(x))
        x = self.add.add(self.conv(self.depthwise(x)), x)
        return self.dequant(self.fc(self.up(x).mean((2, 3))))


@pytest.fixture
def images():
    return torch.randn(2, 3, 20, 20)


@pytest.fixture
def float_network():
    return Residual().eval()


@pytest.fixture
def eager(float_network, images):
    """Quantized in eager mode, its convolutions fused with ReLU."""
    network = tq.fuse_modules(float_network, [["stem.0", "stem.1", "stem.2"], ["depthwise.0", "depthwise.1", "depthwise.2"]])
    network.qconfig = tq.get_default_qconfig("fbgemm")
    network.up.qconfig = tq.default_qconfig  # FBGEMM knows no channels of transposed weights
    tq.prepare(network, inplace=True)
    network(images)
    return tq.convert(network)
