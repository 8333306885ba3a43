"""FBGEMM as a peer of the benchmark, through torch.ops.quantized. usage: torch_worker.py THREADS

The weights are packed beforehand and the input is channels-last. A call includes what PyTorch adds to FBGEMM: choosing
the operator, and memory for the output.
"""

import sys
import warnings

import torch

from worker import Layer, serve, time_calls

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def quantized_weight(layer: Layer) -> torch.Tensor:
    if layer.transposed:  # PyTorch has no per-channel weights here
        sizes = [layer.in_channels, layer.out_channels // layer.groups, *layer.kernel]
        return torch.quantize_per_tensor(torch.randn(sizes), 0.02, 0, torch.qint8)
    sizes = [layer.out_channels, layer.in_channels // layer.groups, *layer.kernel]
    scales = torch.rand(layer.out_channels) * 0.02 + 0.01
    zero_points = torch.zeros(layer.out_channels, dtype=torch.long)
    return torch.quantize_per_channel(torch.randn(sizes), scales, zero_points, 0, torch.qint8)


def measure(layer: Layer) -> tuple[str, float, float]:
    name = f"conv_transpose{layer.dimensions}d" if layer.transposed else f"conv{layer.dimensions}d"
    stride, padding, dilation = list(layer.stride), list(layer.padding), list(layer.dilation)
    sizes = [stride, padding, list(layer.output_padding), dilation] if layer.transposed else [stride, padding, dilation]
    bias = torch.randn(layer.out_channels)
    prepack = getattr(torch.ops.quantized, name + "_prepack")
    packed = prepack(quantized_weight(layer), bias, *sizes, layer.groups)
    shape = [layer.batch, layer.in_channels, *layer.input]
    x = torch.quantize_per_tensor(torch.randn(shape), 0.03, 120, torch.quint8)
    if layer.dimensions in CHANNELS_LAST:
        x = x.contiguous(memory_format=CHANNELS_LAST[layer.dimensions])
    operator = getattr(torch.ops.quantized, name)
    output = operator(x, packed, 0.5, 110)
    if tuple(output.shape[2:]) != layer.output:
        raise RuntimeError(f"output is {tuple(output.shape)}")
    with torch.inference_mode():
        return name, *time_calls(lambda: operator(x, packed, 0.5, 110))


def main() -> None:
    warnings.filterwarnings("ignore")  # that quantized tensors will be removed
    torch.backends.quantized.engine = "fbgemm"
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(7)
    serve(torch.__version__.partition("+")[0], measure)


if __name__ == "__main__":
    main()
