"""Writes small ONNX networks, byte by byte: chains of convolutions without the onnx package."""

import numpy as np


def _varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _message(*fields):
    return b"".join(_field(number, value) for number, value in fields)


def _tensor(name, array):
    dims = [(1, d) for d in array.shape]
    return _message(*dims, (2, 1), (8, name), (9, array.astype("<f4").tobytes()))


def _value(name, sizes):
    shape = _message(*((1, _message((1, d))) for d in sizes))
    return _message((1, name), (2, _message((1, _message((1, 1), (2, shape))))))


def _node(op, name, inputs, output, attributes=()):
    return _message(*((1, i) for i in inputs), (2, output), (3, name), (4, op), *((5, a) for a in attributes))


def conv_chain(weights, biases, size):
    """3 x 3 convolutions named conv0, conv1, ... with a ReLU after each but the last, on pictures of size x size."""
    pads = _message((1, "pads"), *[(8, 1)] * 4, (20, 7))
    nodes, tensors, x = [], [], "x"
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        last = i == len(weights) - 1
        y = "y" if last else f"c{i}"
        nodes.append(_node("Conv", f"conv{i}", [x, f"w{i}", f"b{i}"], y, [pads]))
        tensors += [_tensor(f"w{i}", weight), _tensor(f"b{i}", bias)]
        x = f"r{i}"
        if not last:
            nodes.append(_node("Relu", f"relu{i}", [y], x))
    graph = _message(*((1, n) for n in nodes), (2, "chain"), *((5, t) for t in tensors),
                     (11, _value("x", (4, weights[0].shape[1], size, size))),
                     (12, _value("y", (4, weights[-1].shape[0], size, size))))
    return _message((1, 7), (7, graph), (8, _message((1, ""), (2, 13))))


def random_chain(rng, channels=(3, 16, 16, 8), size=8, spread=1.0):
    """A chain of random weights. With a spread, the first two layers compute the same as without one, through channels
    that are wider or narrower by factors from 1 / spread to spread."""
    weights, biases = [], []
    for before, after in zip(channels, channels[1:]):
        weights.append(rng.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3)))
        biases.append(rng.normal(0, 0.1, after))
    scale = np.exp(np.linspace(-1, 1, channels[1]) * np.log(spread))
    weights[0] *= scale[:, None, None, None]
    biases[0] *= scale
    weights[1] /= scale[:, None, None]
    return conv_chain(weights, biases, size)
