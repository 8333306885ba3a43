#include <cmath>

#include <qconv/nn/fusion.hpp>

#include "support/check.hpp"

namespace qconv::nn {
namespace {

constexpr const char* kWho = "fuse_conv_bn_weights";

std::vector<float> channel_values(const Tensor& values, std::int64_t channels, std::string_view what) {
  check(values.defined(), "{}: {} is undefined", kWho, what);
  check<TypeError>(values.dtype() == float32, "{}: {} must be float32, got {}", kWho, what,
                   qconv::to_string(values.dtype()));
  check(values.dim() == 1 && values.numel() == channels,
        "{}: {} must have {} elements, one per output channel, got sizes {}", kWho, what, channels,
        values.sizes());
  return values.to_vector<float>();
}

std::vector<float> values_or(const std::optional<Tensor>& values, std::int64_t channels, float missing,
                             std::string_view what) {
  if (values) return channel_values(*values, channels, what);
  return std::vector<float>(static_cast<std::size_t>(channels), missing);
}

}  // namespace

std::pair<Tensor, Tensor> fuse_conv_bn_weights(const Tensor& weight, const std::optional<Tensor>& bias,
                                               const Tensor& bn_mean, const Tensor& bn_var, double bn_eps,
                                               const std::optional<Tensor>& bn_weight,
                                               const std::optional<Tensor>& bn_bias, bool transpose,
                                               std::int64_t groups) {
  check(weight.defined() && weight.dim() >= 2, "{}: the weight must have 2 dimensions or more, got {}", kWho,
        weight.defined() ? weight.sizes().to_string() : "None");
  check<TypeError>(weight.dtype() == float32, "{}: the weight must be float32, got {}", kWho,
                   qconv::to_string(weight.dtype()));
  check(groups > 0 && weight.size(0) % groups == 0, "{}: {} groups do not divide a weight of sizes {}", kWho,
        groups, weight.sizes());
  const std::int64_t per_group = transpose ? weight.size(1) : weight.size(0) / groups;
  const std::int64_t channels = per_group * groups;
  const std::vector<float> mean = channel_values(bn_mean, channels, "bn_mean");
  const std::vector<float> var = channel_values(bn_var, channels, "bn_var");
  const std::vector<float> gain = values_or(bn_weight, channels, 1, "bn_weight");
  const std::vector<float> shift = values_or(bn_bias, channels, 0, "bn_bias");
  std::vector<float> fused_bias = values_or(bias, channels, 0, "the bias");
  std::vector<float> factor(fused_bias.size());
  const auto eps = static_cast<float>(bn_eps);
  for (std::size_t c = 0; c < factor.size(); ++c) {
    const float r = 1.0F / std::sqrt(var[c] + eps);
    factor[c] = gain[c] * r;
    // One operation a line, so that no compiler fuses two of them.
    const float centred = fused_bias[c] - mean[c];
    const float scaled = centred * r;
    const float gained = scaled * gain[c];
    fused_bias[c] = gained + shift[c];
  }

  Tensor fused_weight = weight.clone();
  float* w = fused_weight.mutable_data<float>();
  const std::int64_t rows = weight.size(0);
  const std::int64_t columns = weight.size(1);
  const std::int64_t taps = rows * columns == 0 ? 0 : weight.numel() / (rows * columns);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t channel = transpose ? row / (rows / groups) * per_group + column : row;
      const float f = factor[static_cast<std::size_t>(channel)];
      for (std::int64_t tap = 0; tap < taps; ++tap) *w++ *= f;
    }
  }
  return {std::move(fused_weight), Tensor::from_data(fused_bias, {channels})};
}

std::pair<Tensor, Tensor> fuse_conv_bn_weights(const ConvNd& conv, const BatchNorm& bn) {
  check(bn.running_mean && bn.running_var, "{}: the {} has no running statistics to fold into the {}", kWho,
        bn.name(), conv.name());
  check(bn.num_features() == conv.out_channels,
        "{}: a {} of {} features cannot follow a {} of {} output channels", kWho, bn.name(),
        bn.num_features(), conv.name(), conv.out_channels);
  return fuse_conv_bn_weights(conv.weight, conv.bias, *bn.running_mean, *bn.running_var, bn.eps, bn.weight,
                              bn.bias, conv.transposed, conv.groups);
}

void check_fusable(const ConvNd& conv, const BatchNorm& bn) {
  check(!conv.training && !bn.training,
        "fuse_conv_bn_eval: the {} and the {} must both be in eval mode: call eval() first", conv.name(),
        bn.name());
}

}  // namespace qconv::nn
