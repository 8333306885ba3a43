"""Weights for networks that nobody trained: random, but such that the network computes something.

Random weights alone let activations die out or explode, and then every input gives the same output. So every layer is
scaled to give values of deviation 1 on a few inputs, batch normalization has statistics of them, and the last layer is
fitted, by least squares, to tell the kinds of `samples.py` apart. What lies between stays random.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

import samples

LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
RESIDUAL = ("use_res_connect", "apply_residual")  # what torchvision's blocks say of themselves
COUNT, BATCH = 96, 8  # training samples, and how many at once
MEAN_TAKEN = 0.2  # share of a channel's mean that batch normalization takes away
SMOOTH = 2.0  # deviation of what a filter's taps have in common, over that of what they do not
BRANCH = 0.3  # what a block adds to its input, over what normalization alone would make of it
UNNAMED = 0.15  # deviation of the weights in such a mixture: low, as none of them is ever the right one
PIXELS = 8192  # of the last layer's input that take part in the fit


def vary(network: nn.Module) -> None:
    """Makes channels differ and filters smooth, as they are in trained networks.

    Normalization that leaves all channels alike is too easy to quantize. Filters without correlation between their taps are
    too hard: many of them only find the noise, and normalization makes it as large as anything else. Blocks that add as much
    as they are given double the noise in each of many: trained ones add less.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd) and module.weight.requires_grad:
            weight = module.weight
            level = torch.randn(*weight.shape[:2], *[1] * (weight.ndim - 2)) * weight.std()
            weight += SMOOTH * level * (weight[0, 0].numel() > 1)
        if isinstance(module, NORMS) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
        for name, parameter in module.named_parameters(recurse=False):
            if name == "layer_scale":  # ConvNeXt's begin at 1e-6, which turns every block off
                nn.init.uniform_(parameter, 0.1, 0.5)
    for block in network.modules():
        if any(getattr(block, flag, False) for flag in RESIDUAL):
            last = [module for module in block.modules() if isinstance(module, NORMS)][-1]
            last.weight *= BRANCH
            last.bias *= BRANCH


def settle_layers(network: nn.Module, images: torch.Tensor) -> None:
    """Scales each layer, in the order of running, to give values of deviation 1 on these images; sets the statistics of
    batch normalization.

    Those keep most of a channel's mean. Taking it away, layer after layer, leaves what differs between images and blows it
    up, with all noise in it: a deep network then answers to the noise alone. Training prevents that, here this does.
    """

    def rescale(layer: nn.Module, _: object, output: torch.Tensor) -> torch.Tensor:
        if not layer.weight.requires_grad:
            return output
        deviation = output.std()
        layer.weight.data /= deviation
        if layer.bias is not None:
            layer.bias.data /= deviation
        return output / deviation

    def observe(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0]
        variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)])
        norm.running_mean = MEAN_TAKEN * mean
        norm.running_var = variance + ((1 - MEAN_TAKEN) * mean) ** 2

    hooks = []
    for module in network.modules():
        if isinstance(module, LAYERS):
            hooks.append(module.register_forward_hook(rescale))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            hooks.append(module.register_forward_pre_hook(observe))
    network(images)
    for hook in hooks:
        hook.remove()


def features_and_labels(
    network: nn.Module, head: nn.Module, batches: list[torch.Tensor], labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the head sees, one row per sample or place, and the label of each row."""
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for images in batches:
        network(images)
    hook.remove()
    features = torch.cat(seen)
    spatial = features.shape[2:]
    if labels.ndim == 1:
        labels = labels.view(-1, *[1] * len(spatial)).expand(-1, *spatial)
    else:
        labels = F.interpolate(labels[:, None].float(), spatial).long()[:, 0]
    rows = features.movedim(1, -1).reshape(-1, features.shape[1])
    chosen = torch.randperm(len(rows))[:PIXELS]
    return rows[chosen], labels.reshape(-1)[chosen]


def fit_head(head: nn.Module, features: torch.Tensor, labels: torch.Tensor, share: float) -> None:
    """Ridge regression of the labels' indicators. Outputs that no label names are mixtures of the others."""
    outputs = head.weight.shape[0]
    wanted = share * F.one_hot(labels, outputs).to(torch.float64)
    x = features.to(torch.float64)
    mean, target_mean = x.mean(0), wanted.mean(0)
    x = x - mean
    # The cheaper of the two forms of the same solution.
    ridge = 0.02 * (x * x).sum()
    if x.shape[0] < x.shape[1]:
        gram = x @ x.T
        weight = x.T @ torch.linalg.solve(gram + torch.eye(len(gram)) * ridge / len(gram), wanted - target_mean)
    else:
        gram = x.T @ x
        weight = torch.linalg.solve(gram + torch.eye(len(gram)) * ridge / len(gram), x.T @ (wanted - target_mean))
    # Directions of their own would hold nothing but what the layers before leave of noise.
    named = int(labels.max()) + 1
    mixture = torch.randn(named, outputs - named, dtype=torch.float64)
    weight[:, named:] = weight[:, :named] @ (UNNAMED * mixture)
    head.weight.data = weight.T.reshape(head.weight.shape).float().contiguous()
    head.bias.data = (target_mean - mean @ weight).float()


def heads(network: nn.Module, outputs: int) -> list[nn.Module]:
    """The layers that make the output: the last of that size, or the two whose results LR-ASPP adds."""
    found = [m for m in network.modules() if isinstance(m, LAYERS) and m.weight.shape[0] == outputs]
    return found[-2:] if network.__class__.__name__ == "FirstOutput" else found[-1:]


@torch.no_grad()
def settle(network: nn.Module, name: str, size: tuple[int, ...], task: str) -> None:
    """Gives the network its weights. The generator of torch decides which."""
    network.eval()
    vary(network)
    kinds = samples.KINDS
    example = torch.from_numpy(samples.make(name, size, "signal", samples.TRAINING, 2)["images"])
    if task == "pixel":
        kinds = min(kinds, network(example).shape[1])
    data = samples.make(name, size, task, samples.TRAINING, COUNT if task == "class" else COUNT // 4, kinds)
    batches = list(torch.from_numpy(data["images"]).split(BATCH))
    settle_layers(network, torch.cat(batches[:2]))
    if task == "signal":
        return
    outputs = network(example).shape[1]
    labels = torch.from_numpy(data["labels"])
    last = heads(network, outputs)
    for head in last:
        fit_head(head, *features_and_labels(network, head, batches, labels), 1 / len(last))
