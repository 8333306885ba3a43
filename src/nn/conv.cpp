#include <qconv/nn/conv.hpp>

#include "nn/init.hpp"
#include "nn/python_repr.hpp"
#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn {

void ConvNd::initialize(bool with_bias) {
  const Shape sizes = geometry(name()).weight_sizes();
  const std::int64_t inputs = fan_in(sizes);
  weight = uniform(sizes, kaiming_bound(inputs));
  if (with_bias) bias = uniform({out_channels}, bias_bound(inputs));
}

std::string ConvNd::name() const { return ConvKind{ndim(), transposed}.name(); }

std::string ConvNd::extra_repr() const {
  std::string text = repr_head() + repr_tail(padding_name_);
  if (!bias) text += ", bias=False";
  if (padding_mode != PaddingMode::zeros)
    text += fmt::format(", padding_mode={}", qconv::to_string(padding_mode));
  return text;
}

Tensor ConvNd::convolve(const Tensor& input, const Tensor& with_weight,
                        const std::optional<Tensor>& with_bias, const FloatPostOp& post_op) const {
  const std::string who = name();
  return FloatConvolution(geometry(who), with_weight, with_bias, post_op, who).run(input);
}

Tensor ConvNd::forward(const Tensor& input) const { return observed(convolve(input, weight, bias)); }

void ConvNd::unshare() {
  Module::unshare();
  weight = weight.clone();
  if (bias) bias = bias->clone();
}

void ConvNd::save(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "weight", weight.clone());
  if (bias) state.set(prefix + "bias", bias->clone());
}

void ConvNd::read(StateReader& reader, const std::string& prefix) {
  reader.take(prefix + "weight", weight);
  reader.take(prefix + "bias", bias);
}

}  // namespace qconv::nn
