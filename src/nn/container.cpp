#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/nn/container.hpp>

#include "support/check.hpp"

namespace qconv::nn {

Tensor Sequential::forward(const Tensor& input) const {
  Tensor x = input;
  for (const Child& c : named_children()) x = (*c.module)(x);
  return x;
}

Tensor ReLU::forward(const Tensor& input) const {
  return input.defined() && input.is_quantized() ? ops::relu(input) : functional::relu(input);
}

QuantWrapper::QuantWrapper(std::shared_ptr<Module> module) {
  check(module != nullptr, "QuantWrapper: the module is null");
  register_module("quant", QuantStub(module->qconfig));
  register_module("dequant", DeQuantStub(module->qconfig));
  const bool mode = module->training;
  register_module("module", std::move(module));
  train(mode);
}

Tensor QuantWrapper::forward(const Tensor& input) const {
  return child("dequant")(child("module")(child("quant")(input)));
}

}  // namespace qconv::nn
