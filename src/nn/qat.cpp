#include <qconv/nn/qat.hpp>

#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn::qat {

ConvNd::ConvNd(const ConvKind& kind, const ConvOptions& options, const std::optional<QConfig>& config)
    : nn::ConvNd({.ndim = kind.ndim}, options), kind_(kind) {
  check(config && config->weight, "{}: qconfig must be provided for a QAT module, with a weight factory",
        kind.name());
  qconfig = config;
  weight_fake_quant = config->weight();
  check(weight_fake_quant != nullptr, "{}: the qconfig's weight factory makes no observer", kind.name());
}

Tensor ConvNd::forward(const Tensor& input) const {
  const FloatPostOp post_op = has_relu(kind_.post_op) ? FloatPostOp::relu() : FloatPostOp{};
  return observed(convolve(input, weight_fake_quant->forward(weight), bias, post_op));
}

std::pair<Tensor, std::optional<Tensor>> ConvNd::folded() const {
  return {weight.clone(), bias ? std::optional(bias->clone()) : std::nullopt};
}

void ConvNd::copy_parameters(const nn::ConvNd& conv) {
  weight = conv.weight.clone();
  bias = conv.bias ? std::optional(conv.bias->clone()) : std::nullopt;
}

void ConvNd::fill(nn::ConvNd& conv) const {
  std::tie(conv.weight, conv.bias) = folded();
  conv.train(training);
}

void ConvNd::unshare() {
  nn::ConvNd::unshare();
  weight_fake_quant = weight_fake_quant->clone();
}

void ConvNd::save_weight_fake_quant(StateDict& state, const std::string& prefix) const {
  save_observer(state, weight_fake_quant.get(), prefix + "weight_fake_quant.");
}

void ConvNd::save(StateDict& state, const std::string& prefix) const {
  save_parameters(state, prefix);
  save_weight_fake_quant(state, prefix);
}

void ConvNd::read(StateReader& reader, const std::string& prefix) {
  nn::ConvNd::read(reader, prefix);
  reader.take_observer(prefix + "weight_fake_quant.", weight_fake_quant.get());
}

const QConfig& required_qconfig(const std::optional<QConfig>& first, const std::optional<QConfig>& second,
                                std::string_view who) {
  const std::optional<QConfig>& config = first ? first : second;
  check(config.has_value(),
        "{}: Input float module must have qconfig defined, for example get_default_qat_qconfig()", who);
  return *config;
}

ConvOptions options_like(const nn::ConvNd& conv) {
  return {conv.in_channels, conv.out_channels, conv.kernel_size,      conv.stride,      conv.padding,
          conv.dilation,    conv.groups,       conv.bias.has_value(), conv.padding_mode};
}

}  // namespace qconv::nn::qat
