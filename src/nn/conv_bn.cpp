#include <cmath>

#include <qconv/functional.hpp>
#include <qconv/nn/fusion.hpp>
#include <qconv/nn/intrinsic_qat.hpp>

#include "nn/init.hpp"
#include "nn/state_reader.hpp"
#include "ops/channelwise.hpp"
#include "support/check.hpp"

namespace qconv::nn::intrinsic::qat {
namespace {

using Values = std::vector<float>;

// sqrt(variance + eps)
Values deviations(const Tensor& variance, double eps) {
  Values std = variance.to_vector<float>();
  for (float& v : std) v = std::sqrt(v + static_cast<float>(eps));
  return std;
}

Values quotients(Values a, const Values& b) {
  for (std::size_t c = 0; c < a.size(); ++c) a[c] /= b[c];
  return a;
}

Tensor plus(const Tensor& x, const std::optional<Tensor>& bias) {
  if (!bias) return x;
  return channelwise(x, 1, [b = bias->to_vector<float>()](float v, std::size_t c) { return v + b[c]; });
}

}  // namespace

void check_trainable(const BatchNorm& bn, std::string_view who) {
  check(bn.weight && bn.bias && bn.running_mean && bn.running_var,
        "{}: the {} must have affine parameters and running statistics", who, bn.name());
}

void ConvBnNd::start(bool with_bias, bool frozen) {
  if (with_bias) bias = Tensor::zeros({out_channels}, float32);
  reset_bn_parameters();
  frozen ? freeze_bn_stats() : update_bn_stats();
}

void ConvBnNd::reset_bn_parameters() {
  BatchNorm& bn = normalization();
  bn.reset_running_stats();
  bn.weight = uniform({out_channels}, 0, 1);
  bn.bias = Tensor::zeros({out_channels}, float32);
  if (bias) bias = uniform({out_channels}, bias_bound(fan_in(weight.sizes())));
}

void ConvBnNd::update_bn_stats() {
  freeze_bn = false;
  normalization().training = true;
}

void ConvBnNd::freeze_bn_stats() {
  freeze_bn = true;
  normalization().training = false;
}

void ConvBnNd::train(bool mode) {
  Module::train(mode);
  if (!freeze_bn) normalization().train(mode);
}

Tensor ConvBnNd::scaled_weight(const std::vector<float>& factors) const {
  return weight_fake_quant->forward(
      channelwise(weight, 0, [&](float w, std::size_t c) { return w * factors[c]; }));
}

Tensor ConvBnNd::approximate(const Tensor& input) const {
  const BatchNorm& bn = normalization();
  const Values factors = quotients(bn.weight->to_vector<float>(), deviations(*bn.running_var, bn.eps));
  const Tensor scaled = convolve(input, scaled_weight(factors), std::nullopt);
  const Tensor original = channelwise(scaled, 1, [&](float v, std::size_t c) { return v / factors[c]; });
  return bn(plus(original, bias));
}

Tensor ConvBnNd::slow(const Tensor& input) const {
  const BatchNorm& bn = normalization();
  const Values gain = bn.weight->to_vector<float>();
  const Values shift = bn.bias->to_vector<float>();
  Values mean;
  Values std;
  Values rescale(gain.size(), 1.0F);
  const auto convolved = [&](const Values& running_std) {
    return convolve(input, scaled_weight(quotients(gain, running_std)), std::nullopt);
  };
  Tensor output;
  if (bn.training) {
    const Tensor plain = convolve(input, weight, std::nullopt);
    bn(plus(plain, bias));  // for its statistics
    const Values running_std = deviations(*bn.running_var, bn.eps);
    output = convolved(running_std);
    const auto batch = functional::channel_statistics(plain);
    mean = batch.mean.to_vector<float>();
    std = deviations(batch.variance, bn.eps);
    rescale = quotients(running_std, std);
  } else {
    std = deviations(*bn.running_var, bn.eps);
    output = convolved(std);
    mean = bn.running_mean->to_vector<float>();
    if (bias) {
      const Values b = bias->to_vector<float>();
      for (std::size_t c = 0; c < b.size(); ++c) mean[c] -= b[c];
    }
  }
  return channelwise(output, 1, [&](float v, std::size_t c) {
    return v * rescale[c] + (shift[c] - gain[c] * mean[c] / std[c]);
  });
}

Tensor ConvBnNd::forward(const Tensor& input) const {
  check_trainable(normalization(), name());
  Tensor output = enable_slow_path_for_better_numerical_stability ? slow(input) : approximate(input);
  if (has_relu(kind().post_op)) output = functional::relu(output);
  return observed(output);
}

std::pair<Tensor, std::optional<Tensor>> ConvBnNd::folded() const {
  return fuse_conv_bn_weights(*this, normalization());
}

void ConvBnNd::save(StateDict& state, const std::string& prefix) const {
  save_parameters(state, prefix);
  normalization().save_to(state, prefix + "bn.");
  save_weight_fake_quant(state, prefix);
}

void ConvBnNd::read(StateReader& reader, const std::string& prefix) {
  constexpr std::pair<const char*, const char*> kVersion1[] = {
      {"gamma", "weight"},
      {"beta", "bias"},
      {"running_mean", "running_mean"},
      {"running_var", "running_var"},
      {"num_batches_tracked", "num_batches_tracked"}};
  for (const auto& [older, newer] : kVersion1) reader.rename(prefix + older, prefix + "bn." + newer);
  nn::qat::ConvNd::read(reader, prefix);
  normalization().read_from(reader, prefix + "bn.");
}

namespace {

template <class F>
void for_each_conv_bn(Module& tree, const F& f) {
  if (auto* conv = dynamic_cast<ConvBnNd*>(&tree)) f(*conv);
  for (const Module::Child& c : tree.named_children()) for_each_conv_bn(*c.module, f);
}

}  // namespace

void update_bn_stats(Module& tree) {
  for_each_conv_bn(tree, [](ConvBnNd& conv) { conv.update_bn_stats(); });
}

void freeze_bn_stats(Module& tree) {
  for_each_conv_bn(tree, [](ConvBnNd& conv) { conv.freeze_bn_stats(); });
}

}  // namespace qconv::nn::intrinsic::qat
