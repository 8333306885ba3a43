"""Makes a network hard to quantize without changing what it computes.

    python rescale_channels.py digits/digits.onnx hard.onnx --spread 100

Where a convolution (and its batch norm) is followed by a ReLU and then one other convolution or linear layer, channel
i is multiplied by s_i in the first and divided by s_i in the second; log s_i is uniform in [-log spread, log spread].
`qconv quantize --equalize` finds its way back. A Clip between the two is a ReLU6 and is left alone, unless --clips says
that it may become a ReLU, which does change the network.
"""

import argparse

import numpy as np
import onnx
from onnx import numpy_helper

PASSED = {"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("output")
    parser.add_argument("--spread", type=float, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clips", action="store_true")
    arguments = parser.parse_args()

    model = onnx.load(arguments.network)
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    values = {name: numpy_helper.to_array(t).astype(np.float64) for name, t in constants.items()}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {o.name for o in graph.output}
    random = np.random.default_rng(arguments.seed)

    def only_reader(name):
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and name not in outputs else None

    pairs = 0
    for conv in graph.node:
        if conv.op_type != "Conv" or conv.input[1] not in values:
            continue
        last, node = conv, only_reader(conv.output[0])
        if node is not None and node.op_type == "BatchNormalization":
            last, node = node, only_reader(node.output[0])
        clips = []
        while node is not None and (node.op_type in PASSED or (arguments.clips and node.op_type == "Clip")):
            clips += [node] if node.op_type == "Clip" else []
            node = only_reader(node.output[0])
        if node is None or node.op_type != "Conv" or node.input[1] not in values:
            continue
        channels = values[conv.input[1]].shape[0]
        scale = np.exp(random.uniform(-1, 1, channels) * np.log(arguments.spread))
        if last.op_type == "BatchNormalization":
            values[last.input[1]] = values[last.input[1]] * scale
            values[last.input[2]] = values[last.input[2]] * scale
        else:
            values[conv.input[1]] = values[conv.input[1]] * scale.reshape(-1, 1, 1, 1)
            if len(conv.input) > 2:
                values[conv.input[2]] = values[conv.input[2]] * scale
        weight = values[node.input[1]]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        by_group = weight.shape[0] // groups
        for o in range(weight.shape[0]):
            first = o // by_group * weight.shape[1]
            weight[o] = weight[o] / scale[first : first + weight.shape[1]].reshape(-1, 1, 1)
        for clip in clips:
            clip.op_type = "Relu"
            del clip.input[1:]
        pairs += 1

    for name, tensor in constants.items():
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(values[name].astype(np.float32), name))
    onnx.save(model, arguments.output)
    print(f"{arguments.output}: {pairs} pairs of layers rescaled")


if __name__ == "__main__":
    main()
