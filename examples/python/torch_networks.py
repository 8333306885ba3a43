"""PyTorch's quantized ResNet-18 and MobileNetV2 on qconv's kernels, both ways: equal bytes, and how much faster.

Needs torch and torchvision. The weights are random: nothing is downloaded.
"""

import time
import warnings

import torch
import torch.ao.quantization as tq
import torchvision

import qconv.torch

warnings.filterwarnings("ignore")  # PyTorch's notices that all this will be removed
torch.manual_seed(0)
torch.backends.quantized.engine = "fbgemm"
torch.set_num_threads(1)
qconv.set_num_threads(1)


def quantized(name):
    model = getattr(torchvision.models.quantization, name)(weights=None, quantize=False).eval()
    model.fuse_model(is_qat=False)
    model.qconfig = tq.get_default_qconfig("fbgemm")
    tq.prepare(model, inplace=True)
    model(torch.randn(2, 3, 224, 224))
    return tq.convert(model)


def milliseconds(run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


image = torch.randn(1, 3, 224, 224)
for name in ("resnet18", "mobilenet_v2"):
    model = quantized(name)
    converted = qconv.torch.convert(model)  # its convolution modules, replaced
    kernels = qconv.torch.kernels()

    wanted = model(image)
    assert torch.equal(converted(image), wanted)
    with kernels:  # the model as it is, on other kernels
        assert torch.equal(model(image), wanted)
    assert torch.equal(model(image), wanted)  # and back on PyTorch's

    times = []
    for _ in range(20):  # in turns, so that what else the machine does hits all three
        row = [milliseconds(lambda: model(image)), milliseconds(lambda: converted(image))]
        with kernels:
            times.append([*row, milliseconds(lambda: model(image))])
    theirs, modules, ours = (min(column) for column in zip(*times))
    print(
        f"{name}: the same bytes; FBGEMM {theirs:.2f} ms, convert {modules:.2f} ms ({theirs / modules:.2f}x), "
        f"kernels {ours:.2f} ms ({theirs / ours:.2f}x)"
    )
