#include <qconv/float_convolution.hpp>
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

Tensor ConvNd::forward(const Tensor& input) const {
  const std::string who = name();
  Tensor output = FloatConvolution(geometry(who), weight, bias, {}, who).run(input);
  if (activation_post_process) activation_post_process->observe(output);
  return output;
}

void ConvNd::unshare() {
  weight = weight.clone();
  if (bias) bias = bias->clone();
  if (activation_post_process) activation_post_process = activation_post_process->clone();
}

namespace {

constexpr const char* kObserver = "activation_post_process.";

}  // namespace

void ConvNd::save(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "weight", weight.clone());
  if (bias) state.set(prefix + "bias", bias->clone());
  if (activation_post_process) {
    for (const auto& [key, tensor] : activation_post_process->state_dict(prefix + kObserver))
      state.set(key, tensor);
  }
}

ConvNd::Staged ConvNd::read(StateReader& reader, const std::string& key_prefix) const {
  Staged staged;
  staged.weight = reader.tensor(key_prefix + "weight", float32, geometry(name()).weight_sizes());
  if (bias) staged.bias = reader.tensor(key_prefix + "bias", float32, {out_channels});
  staged.observer = reader.observer(activation_post_process.get(), key_prefix + kObserver);
  return staged;
}

void ConvNd::take(const Staged& staged, const StateDict& state, const std::string& prefix) {
  if (staged.weight != nullptr) weight = staged.weight->clone();
  if (staged.bias != nullptr) bias = staged.bias->clone();
  if (staged.observer) activation_post_process->load_state_dict(state, prefix + kObserver);
}

LoadResult ConvNd::load(const StateDict& state, const std::string& prefix, bool strict) {
  StateReader reader(state, prefix);
  const Staged staged = read(reader, "");
  LoadResult result = reader.finish(name(), strict);
  take(staged, state, prefix);
  return result;
}

}  // namespace qconv::nn
