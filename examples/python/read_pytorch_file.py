"""What a PyTorch file holds, and its convolutions ready to run, without PyTorch: read_pytorch_file.py FILE"""

import sys

import qconv

# Classes of your own or of torchvision in a pickled module: name them, they are read as data and never run.
SAFE = ["torchvision.models.quantization.resnet.QuantizableResNet", "torchvision.models.quantization.resnet.QuantizableBasicBlock"]

file = qconv.load_torch_file(sys.argv[1], safe_globals=SAFE)
print(f"made by saving: {file.kind}")
for name, tensor in file.state.items():
    print(f"  {name}: {tensor}")
for found in file.convolutions:
    print(f"  {found.name}: {found.make()}")
