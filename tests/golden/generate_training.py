"""Writes the corpus of quantization-aware training from a real PyTorch: folding, fake quantization, modules,
whole networks, dynamic modules. See README.md beside it.

    python tests/golden/generate_training.py [--out DIR] [--seed N]
"""

import argparse
import pathlib
import warnings

import numpy as np
import torch

import dynamic_modules
import fake_quantize
import folding
import networks
import qat
from generate import Blob, write_json

PARTS = {
    "folding": folding.cases, "fake_quantize": fake_quantize.cases, "qat": qat.cases, "networks": networks.cases,
    "dynamic_modules": dynamic_modules.cases,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=20262)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.quantized.engine = "fbgemm"
    for number, (name, make) in enumerate(PARTS.items()):
        blob = Blob()
        torch.manual_seed(args.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = make(np.random.default_rng([args.seed, number]), blob)
        write_json(args.out / f"{name}.json", {"torch": torch.__version__, "seed": args.seed, "cases": records})
        (args.out / f"{name}.bin").write_bytes(bytes(blob.data))
        print(f"{len(records):5} {name}")


if __name__ == "__main__":
    main()
