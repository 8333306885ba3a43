"""Write a PyTorch module as ONNX and prove that the file computes what the module does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import nn

OPSET = 15


def export_and_check(model: nn.Module, example: torch.Tensor, path: Path, dynamic_axes: dict, others: list[torch.Tensor],
                     keep_batch_norm: bool = False, tolerance: float = 1e-4) -> None:
    """Export `model`, run the ONNX checker, and compare onnxruntime with torch on `example` and every tensor of `others`.

    The graph's input is called `input`, its output `output`. `keep_batch_norm` leaves BatchNormalization nodes unfolded.
    Raises RuntimeError if an output differs by more than `tolerance`.
    """
    model.eval()
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(model, (example,), str(path), input_names=["input"], output_names=["output"],
                      dynamic_axes=dynamic_axes, opset_version=OPSET, training=mode,
                      do_constant_folding=not keep_batch_norm, dynamo=False)
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for images in [example, *others]:
        with torch.no_grad():
            expected = model(images)
        actual = torch.from_numpy(session.run(None, {"input": images.numpy()})[0])
        if actual.shape != expected.shape:
            raise RuntimeError(f"{path}: onnxruntime gives shape {tuple(actual.shape)}, torch {tuple(expected.shape)}")
        worst = max(worst, (actual - expected).abs().max().item())
    if worst > tolerance:
        raise RuntimeError(f"{path}: onnxruntime and torch differ by {worst:.3g}, more than {tolerance:.3g}")
    operators = ", ".join(f"{count} {name}" for name, count in sorted(Counter(n.op_type for n in graph.graph.node).items()))
    print(f"{path.name}: opset {OPSET}, {path.stat().st_size} bytes, {operators}; differs from torch by at most {worst:.2g}")
