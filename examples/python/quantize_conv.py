"""A float convolution, calibrated, converted to int8 and run: PyTorch's steps without PyTorch."""

import numpy as np

import qconv

images = np.random.default_rng(0).uniform(-1, 1, (8, 3, 32, 32)).astype("float32")

conv = qconv.nn.Conv2d(3, 16, kernel_size=3, padding=1)
conv.qconfig = qconv.get_default_qconfig("onednn")
conv.activation_post_process = conv.qconfig.activation()
wanted = conv(images).numpy()  # calibration: the observer sees the output

int8 = qconv.nn.quantized.Conv2d.from_float(conv)
qx = qconv.quantize_per_tensor(images, scale=1 / 127.5, zero_point=128, dtype=qconv.quint8)
got = int8(qx).dequantize().numpy()

print(int8)
print(f"signal to noise: {10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()):.1f} dB")

qconv.save(int8.state_dict(), "conv.pt")  # torch.load reads it; .safetensors works too
again = qconv.nn.quantized.Conv2d(3, 16, kernel_size=3, padding=1)
again.load_state_dict(qconv.load("conv.pt"))
print("saved and loaded: the same bytes:", qconv.equal(again(qx).int_repr(), int8(qx).int_repr()))
