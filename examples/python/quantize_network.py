"""A float ONNX network, quantized with calibration data, written, and judged: quantize_network.py [FOLDER]

FOLDER has digits.onnx, calibration.npz and test.npz; examples/digits is the default.
"""

import pathlib
import sys

import qconv

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "digits")
calibration = list(qconv.load(folder / "calibration.npz").values())[0].numpy()
test = {name: array.numpy() for name, array in qconv.load(folder / "test.npz").items()}
images, labels = test["images"], test["labels"]

float_network = qconv.Network(folder / "digits.onnx")
batches = (calibration[i : i + 50] for i in range(0, len(calibration), 50))
int8_network = qconv.quantize_onnx(folder / "digits.onnx", "digits.int8.onnx", batches)

for name, network in (("float32", float_network), ("int8", int8_network)):
    right = network.run(images).numpy().argmax(1) == labels
    print(f"{name:8} top-1 {right.mean():.2%}  weights {network.weight_bytes / 1024:.0f} KiB")
worst = min(qconv.compare_layers(float_network, int8_network, [images]), key=lambda layer: layer.sqnr_db)
print(f"the layer that lost most: {worst.name}, {worst.sqnr_db:.1f} dB")
