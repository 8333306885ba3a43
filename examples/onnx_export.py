"""Write a PyTorch module as ONNX and prove that the file computes what the module does."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

OPSET = 15


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace every node that depends on constants alone by its result, kept as an initializer.

    torch computes the widths of a reflected border with a chain of such nodes, which its own folding leaves in place.
    """
    graph = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if any(name and name not in constants for name in node.input):
            nodes.append(node)
            continue
        inputs = {name: constants[name] for name in node.input if name}
        results = ReferenceEvaluator(node, opsets={"": OPSET}).run(None, inputs)
        constants.update(zip(node.output, results))
    used = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    initializers = [onnx.numpy_helper.from_array(np.asarray(constants[name]), name) for name in used]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def export_and_check(model: nn.Module, example: torch.Tensor, path: Path, dynamic_axes: dict,
                     others: list[torch.Tensor], keep_batch_norm: bool = False, tolerance: float = 1e-4) -> None:
    """Export `model`, run the ONNX checker, compare onnxruntime with torch on `example` and every tensor of `others`.

    The graph's input is called `input`, its output `output`. With `keep_batch_norm`, BatchNormalization stays a node.
    Raises RuntimeError if an output differs by more than `tolerance`.
    """
    model.eval()
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Constant folding")  # fold_constants does what torch warns it cannot
        torch.onnx.export(model, (example,), str(path), input_names=["input"], output_names=["output"],
                          dynamic_axes=dynamic_axes, opset_version=OPSET, training=mode, do_constant_folding=False,
                          dynamo=False)
    exported = onnx.load(path)
    fold_constants(exported)
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for images in [example, *others]:
        with torch.no_grad():
            expected = model(images)
        actual = torch.from_numpy(session.run(None, {"input": images.numpy()})[0])
        if actual.shape != expected.shape:
            raise RuntimeError(f"{path}: onnxruntime gives {tuple(actual.shape)}, torch {tuple(expected.shape)}")
        worst = max(worst, (actual - expected).abs().max().item())
    if worst > tolerance:
        raise RuntimeError(f"{path}: onnxruntime and torch differ by {worst:.3g}, more than {tolerance:.3g}")
    counts = Counter(node.op_type for node in exported.graph.node)
    operators = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{path.name}: opset {OPSET}, {path.stat().st_size} bytes, {operators}; "
          f"differs from torch by at most {worst:.2g}")
