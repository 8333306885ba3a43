#!/usr/bin/env python3
"""Makes the small files in tests/io/fixtures with the programs that users have: numpy, safetensors, Pillow.

Run with numpy, safetensors and Pillow installed; the tests need only what is committed. Every array is made by
`ramp`, which the tests repeat: value i is (7 * i) % 101 - 50, or without the -50 for unsigned types.
"""

import pathlib

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent / "fixtures"


def ramp(dtype, *shape):
    values = (7 * np.arange(np.prod(shape, dtype=int))) % 101
    if not np.issubdtype(dtype, np.unsignedinteger):
        values = values - 50
    return values.astype(dtype).reshape(shape)


def photo(height, width, channels):
    """A smooth picture: sums of gradients, the same formula as in image_test.cpp."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return ((3 * x + 5 * y + 40 * c) % 256).astype(np.uint8)


def numpy_files():
    for name in ["float32", "float64", "int32", "int64", "uint8", "int8"]:
        np.save(OUT / f"{name}.npy", ramp(np.dtype(name), 2, 3, 4))
    np.save(OUT / "fortran.npy", np.asfortranarray(ramp(np.float32, 2, 3, 4)))
    np.save(OUT / "big_endian.npy", ramp(np.int32, 2, 3, 4).astype(">i4"))
    np.save(OUT / "scalar.npy", ramp(np.float64))
    np.save(OUT / "empty.npy", ramp(np.float32, 0, 3))
    np.save(OUT / "vector.npy", ramp(np.int64, 5))
    np.save(OUT / "float16.npy", ramp(np.float16, 3))
    np.save(OUT / "bool.npy", ramp(np.int8, 3) > 0)
    np.save(OUT / "record.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    np.save(OUT / "object.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    with open(OUT / "version2.npy", "wb") as f:
        np.lib.format.write_array(f, ramp(np.float32, 4), version=(2, 0))
    arrays = {"images": ramp(np.uint8, 4, 8, 8), "labels": ramp(np.int64, 4), "empty": ramp(np.float32, 0, 2)}
    np.savez(OUT / "stored.npz", **arrays)
    np.savez_compressed(OUT / "deflated.npz", **arrays)


def safetensors_files():
    arrays = {name: ramp(np.dtype(name), 2, 3) for name in ["float32", "float64", "int32", "int64", "uint8", "int8"]}
    arrays["scalar"] = ramp(np.float32)
    arrays["empty"] = ramp(np.float32, 0, 3)
    save_file(arrays, OUT / "plain.safetensors", metadata={"made by": "safetensors"})
    save_file({"x": ramp(np.float32, 2), "half": ramp(np.float16, 2)}, OUT / "float16.safetensors")


def images():
    rgb = Image.fromarray(photo(11, 13, 3))
    grey = Image.fromarray(photo(11, 13, 1)[:, :, 0])
    rgb.save(OUT / "rgb.png")
    grey.save(OUT / "grey.png")
    Image.fromarray(photo(11, 13, 4)).save(OUT / "rgba.png")
    Image.merge("LA", [grey, grey.rotate(180)]).save(OUT / "grey_alpha.png")
    Image.fromarray(photo(11, 13, 1)[:, :, 0].astype(np.uint16) * 257).save(OUT / "grey16.png")
    palette = Image.frombytes("P", (4, 2), bytes([0, 1, 2, 3, 3, 2, 1, 0]))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    palette.save(OUT / "palette.png")
    palette.save(OUT / "palette_alpha.png", transparency=2)
    Image.fromarray(np.eye(9, dtype=bool)).save(OUT / "bits.png")
    rgb.resize((32, 24)).save(OUT / "rgb.jpg", quality=90)
    rgb.resize((32, 24)).save(OUT / "progressive.jpg", quality=90, progressive=True)
    grey.resize((32, 24)).save(OUT / "grey.jpg", quality=90)
    rgb.convert("CMYK").save(OUT / "cmyk.jpg")
    # What Pillow (libjpeg-turbo) makes of the JPEG files.
    for name in ["rgb", "progressive", "grey"]:
        np.save(OUT / f"{name}_jpg.npy", np.asarray(Image.open(OUT / f"{name}.jpg")))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    numpy_files()
    safetensors_files()
    images()
