"""Simulate int8 inference of a float network, in float arithmetic, to judge whether it will survive quantization.

Batch norm is folded into the convolution before it. Weights are rounded to int8, symmetric, one scale per output
channel. Activations are rounded to 8 unsigned bits, one scale per tensor, from the smallest and largest value seen on
the calibration data: the plainest calibration there is.
"""

from __future__ import annotations

import copy
import operator

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

# Outputs of these are rounded to 8 bits. The others (pooling, padding, reshaping) keep the grid of their input.
_ROUNDED_MODULES = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.ReLU, nn.AdaptiveAvgPool2d)
_ROUNDED_FUNCTIONS = (operator.add, torch.add)


def _round_weight(module: nn.Module) -> None:
    """Replace the weight by its int8 approximation, one scale per output channel."""
    weight = module.weight.data
    axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
    others = [d for d in range(weight.dim()) if d != axis]
    scales = (weight.abs().amax(others) / 127).clamp_min(torch.finfo(torch.float32).eps)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    module.weight.data = torch.fake_quantize_per_channel_affine(weight, scales, zeros, axis, -128, 127)


class Int8Simulation(torch.fx.Interpreter):
    """Runs a float module as int8 would. `calibrate` on float data first; then `run` gives the simulated output."""

    def __init__(self, model: nn.Module) -> None:
        fused = fuse(copy.deepcopy(model).eval())
        super().__init__(fused)
        self._float, self._rounded = copy.deepcopy(fused), fused
        self._ranges: dict[str, tuple[float, float]] = {}
        self._calibrating = False
        self._points = {n.name for n in fused.graph.nodes if self._is_rounded(n)}
        for module in fused.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                _round_weight(module)

    def _is_rounded(self, node: torch.fx.Node) -> bool:
        """A convolution or addition before a ReLU is not: the two are one operation, rounded once."""
        if node.op == "placeholder":
            return True
        users = list(node.users)
        if len(users) == 1 and users[0].op == "call_module" and isinstance(self._module_of(users[0]), nn.ReLU):
            return False
        if node.op == "call_module":
            return isinstance(self._module_of(node), _ROUNDED_MODULES)
        return node.op == "call_function" and node.target in _ROUNDED_FUNCTIONS

    def _module_of(self, node: torch.fx.Node) -> nn.Module:
        return self._rounded.get_submodule(node.target)

    @torch.no_grad()
    def calibrate(self, batches) -> None:
        """Record the range of every activation of the float network over the batches."""
        self._calibrating, self.module = True, self._float
        try:
            for batch in batches:
                super().run(batch)
        finally:
            self._calibrating, self.module = False, self._rounded

    @torch.no_grad()
    def run(self, *args, **kwargs):
        if not self._ranges:
            raise RuntimeError("Int8Simulation.run: call calibrate() with representative data first")
        return super().run(*args, **kwargs)

    def run_node(self, node: torch.fx.Node):
        result = super().run_node(node)
        if node.name not in self._points:
            return result
        if self._calibrating:
            low, high = self._ranges.get(node.name, (0.0, 0.0))
            self._ranges[node.name] = (min(low, result.min().item()), max(high, result.max().item()))
            return result
        low, high = self._ranges[node.name]
        scale = max((high - low) / 255, 1e-8)
        zero_point = min(255, max(0, round(-low / scale)))
        return torch.fake_quantize_per_tensor_affine(result, scale, zero_point, 0, 255)
