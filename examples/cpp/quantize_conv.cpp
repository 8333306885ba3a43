// A float convolution becomes an int8 one: observe, convert, run.
#include <cmath>
#include <iostream>

#include <qconv/qconv.hpp>

// A picture-like input: (1, 3, 32, 32), values in [-1, 1], another for each seed.
qconv::Tensor picture(int seed) {
  std::vector<float> values(3 * 32 * 32);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(0.05F * static_cast<float>(i) * static_cast<float>(seed + 1));
  return qconv::Tensor::from_data(values, {1, 3, 32, 32});
}

int main() {
  namespace nn = qconv::nn;
  // The weights are random here; assign yours to conv.weight and conv.bias.
  nn::Conv2d conv({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1});

  // Calibrate: the observers of the qconfig watch what the float module does on typical inputs.
  conv.qconfig = qconv::get_default_qconfig("onednn");
  conv.activation_post_process = conv.qconfig->activation();
  for (int seed = 0; seed < 8; ++seed) conv.forward(picture(seed));

  // Convert, and run on a quantized input.
  const auto quantized = nn::quantized::Conv2d::from_float(conv, "conv1");
  std::cout << quantized.to_string() << "\n";
  const qconv::Tensor x = picture(8);
  const qconv::Tensor y = quantized.forward(qconv::quantize_per_tensor(x, 2.0 / 255, 128, qconv::quint8));

  const std::vector<float> expected = conv.forward(x).to_vector<float>();
  const std::vector<float> actual = y.dequantize().to_vector<float>();
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    signal += std::pow(expected[i], 2);
    noise += std::pow(expected[i] - actual[i], 2);
  }
  std::cout << "signal to quantization noise " << 10 * std::log10(signal / noise) << " dB\n";
  return signal > 1000 * noise ? 0 : 1;
}
