#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/nn/container.hpp>

namespace qconv::nn {

Tensor Sequential::forward(const Tensor& input) const {
  Tensor x = input;
  for (const Child& c : named_children()) x = (*c.module)(x);
  return x;
}

Tensor ReLU::forward(const Tensor& input) const {
  return input.defined() && input.is_quantized() ? ops::relu(input) : functional::relu(input);
}

}  // namespace qconv::nn
