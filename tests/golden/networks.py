"""Whole networks through fuse_modules, prepare, calibration or training, and convert; tests/nn/golden_networks_test.cpp has the
same networks in C++."""

import copy

import numpy as np
import torch
import torch.ao.quantization as tq
from torch import nn

from folding import randomized

F32 = np.float32


class Residual(nn.Module):
    """Convolutions, a residual block, an upsampling."""

    def __init__(self, normalized_up):
        super().__init__()
        self.quant = tq.QuantStub()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU()
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1),
            nn.BatchNorm2d(8),
        )
        self.skip = torch.ao.nn.quantized.FloatFunctional()
        self.up = nn.ConvTranspose2d(8, 4, 3, 2, 1, 1)
        self.upbn = nn.BatchNorm2d(4) if normalized_up else nn.Identity()
        self.head = nn.Conv2d(4, 5, 1)
        self.dequant = tq.DeQuantStub()

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(self.quant(x))))
        x = self.skip.add_relu(x, self.block(x))
        return self.dequant(self.head(self.upbn(self.up(x))))


def _stack(dims, normalized_up=True):
    conv, up, norm = (getattr(nn, f"{name}{dims}d") for name in ("Conv", "ConvTranspose", "BatchNorm"))
    return nn.Sequential(
        tq.QuantStub(), conv(3, 6, 3, 1, 1), norm(6), nn.ReLU(), up(6, 4, 2, 2),
        norm(4) if normalized_up else nn.Identity(), nn.ReLU(), conv(4, 2, 2), nn.ReLU(), tq.DeQuantStub(),
    )


STACK = [["1", "2", "3"], ["4", "5"], ["7", "8"]]
RESIDUAL = [["conv1", "bn1", "relu1"], ["block.0", "block.1", "block.2"], ["block.3", "block.4"]]
TRANSPOSED = tq.QConfig(
    activation=tq.HistogramObserver.with_args(reduce_range=True), weight=tq.default_weight_observer
)
TRANSPOSED_QAT = tq.QConfig(
    activation=tq.get_default_qat_qconfig("fbgemm").activation, weight=tq.default_fused_wt_fake_quant
)
# Names of qconfigs that are no backend.
QCONFIGS = {
    "default_qconfig": tq.default_qconfig,
    "moving_average": tq.QConfig(
        activation=tq.MovingAverageMinMaxObserver.with_args(averaging_constant=0.25), weight=tq.default_weight_observer
    ),
}
# name, network, modules to fuse, input, qconfig, transposed convolution, trained
NETWORKS = [
    ("residual", lambda: Residual(True), [*RESIDUAL, ["up", "upbn"]], (2, 3, 8, 7), "fbgemm", "up", False),
    ("residual", lambda: Residual(True), [*RESIDUAL, ["up", "upbn"]], (2, 3, 8, 7), "qnnpack", "up", False),
    ("residual", lambda: Residual(False), RESIDUAL, (2, 3, 8, 7), "fbgemm", "up", True),
    ("residual", lambda: Residual(False), RESIDUAL, (2, 3, 8, 7), "qnnpack", "up", True),
    ("stack1", lambda: _stack(1), STACK, (2, 3, 9), "fbgemm", "4", False),
    ("stack2", lambda: _stack(2), STACK, (2, 3, 5, 4), "default_qconfig", "4", False),
    ("stack2", lambda: _stack(2), STACK, (2, 3, 5, 4), "moving_average", "4", False),
    ("stack1", lambda: _stack(1, False), [STACK[0], STACK[2]], (2, 3, 9), "qnnpack", "4", True),
    ("stack3", lambda: _stack(3), STACK, (1, 3, 4, 3, 3), "fbgemm", "4", False),
]


def _entry(value, blob):
    if value is None:
        return None
    if not value.is_quantized:
        return {"dtype": str(value.dtype)[6:], **blob.add(value.detach().clone().numpy())}
    record = {"dtype": "qint8", **blob.add(value.int_repr().contiguous().numpy())}
    if value.qscheme() == torch.per_channel_affine:
        record["scales"] = [float(s) for s in value.q_per_channel_scales()]
        record["axis"] = value.q_per_channel_axis()
    else:
        record["scales"] = [value.q_scale()]
    return record


def _state(module, blob):
    return {key: _entry(value, blob) for key, value in module.state_dict().items()}


def _train(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    for batch in batches:
        optimizer.zero_grad()
        net(torch.from_numpy(batch)).square().mean().backward()
        optimizer.step()


def _case(rng, blob, name, make, fuse, shape, qconfig_name, transposed, trained):
    net = make()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            randomized(module, rng)
    record = {"network": name, "qconfig": qconfig_name, "trained": trained, "fuse": fuse, "float": _state(net, blob)}
    net.train(trained)
    net = (tq.fuse_modules_qat if trained else tq.fuse_modules)(net, fuse)
    if qconfig_name in QCONFIGS:
        net.qconfig = QCONFIGS[qconfig_name]
    else:
        net.qconfig = (tq.get_default_qat_qconfig if trained else tq.get_default_qconfig)(qconfig_name)
        if qconfig_name == "fbgemm":
            net.get_submodule(transposed).qconfig = TRANSPOSED_QAT if trained else TRANSPOSED
            record["transposed"] = transposed
    net = (tq.prepare_qat if trained else tq.prepare)(net)
    batches = [rng.normal(0.1, 1, shape).astype(F32) for _ in range(2)]
    if trained:
        _train(net, batches)
        net.eval()
    else:
        with torch.no_grad():
            for batch in batches:
                net(torch.from_numpy(batch))
    record["batches"] = [blob.add(batch) for batch in batches]
    record["prepared"] = _state(net, blob)
    x = batches[0] + F32(0.05)
    if trained:
        simulated = copy.deepcopy(net)
        simulated.apply(tq.disable_observer)
        with torch.no_grad():
            record["simulated"] = blob.add(simulated(torch.from_numpy(x)).contiguous().numpy())
    quantized = tq.convert(net)
    record["converted"] = _state(quantized, blob)
    record["classes"] = {
        path: type(module).__name__ for path, module in quantized.named_modules() if path and "post_process" not in path
    }
    record["x"] = blob.add(x)
    record["y"] = blob.add(quantized(torch.from_numpy(x)).contiguous().numpy())
    return record


def cases(rng, blob):
    """The records."""
    return [_case(rng, blob, *network) for network in NETWORKS]
