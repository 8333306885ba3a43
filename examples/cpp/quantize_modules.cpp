// A residual network of modules, from float to int8: fuse, prepare, calibrate, convert.
#include <cmath>
#include <iostream>

#include <qconv/qconv.hpp>

namespace nn = qconv::nn;
using qconv::Tensor;

// Children have names, and forward runs them by name: after conversion they are of other classes.
class Net final : public nn::ModuleOf<Net> {
 public:
  Net() {
    register_module("quant", nn::QuantStub());
    register_module("stem", nn::Sequential(nn::Conv2d(3, 16, 3, 2, 1), nn::BatchNorm2d(16), nn::ReLU()));
    register_module("body", nn::Sequential(nn::Conv2d(16, 16, 3, 1, 1), nn::BatchNorm2d(16)));
    register_module("skip", nn::quantized::FloatFunctional());
    register_module("head", nn::Conv2d(16, 4, 1));
    register_module("dequant", nn::DeQuantStub());
  }
  std::string name() const override { return "Net"; }
  Tensor forward(const Tensor& input) const {
    const Tensor x = child("stem")(child("quant")(input));
    const Tensor sum = child_as<nn::quantized::Functional>("skip").add_relu(x, child("body")(x));
    return child("dequant")(child("head")(sum));
  }
};

// A picture-like input: (1, 3, 32, 32), values in [-1, 1], another for each seed.
Tensor picture(int seed) {
  std::vector<float> values(3 * 32 * 32);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(0.05F * static_cast<float>(i) * static_cast<float>(seed + 1));
  return Tensor::from_data(values, {1, 3, 32, 32});
}

int main() {
  Net net;  // its weights are random; load_state_dict takes yours
  net.eval();
  const auto fused = nn::fuse_modules(net, {{"stem.0", "stem.1", "stem.2"}, {"body.0", "body.1"}});
  fused->qconfig = qconv::get_default_qconfig("onednn");
  const auto quantized = nn::quantize(*fused, [](Net& prepared) {
    for (int seed = 0; seed < 8; ++seed) prepared.forward(picture(seed));
  });
  std::cout << quantized->to_string() << "\n";

  const std::vector<float> expected = net.forward(picture(8)).to_vector<float>();
  const std::vector<float> actual = quantized->forward(picture(8)).to_vector<float>();
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    signal += std::pow(expected[i], 2);
    noise += std::pow(expected[i] - actual[i], 2);
  }
  std::cout << "signal to quantization noise " << 10 * std::log10(signal / noise) << " dB\n";
  return signal > 100 * noise ? 0 : 1;
}
