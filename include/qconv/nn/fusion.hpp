#pragma once

#include <optional>
#include <utility>

#include <qconv/nn/batch_norm.hpp>
#include <qconv/nn/conv.hpp>

namespace qconv::nn {

/// The weight and bias of a convolution that does what `weight` and `bias` and then a batch normalization do,
/// to the bit as PyTorch's `torch.nn.utils.fuse_conv_bn_weights`. In float32, with r = 1 / sqrt(bn_var +
/// eps):
///
///     weight * (bn_weight * r)      per output channel
///     (bias - bn_mean) * r * bn_weight + bn_bias
///
/// Missing: bias 0, bn_weight 1, bn_bias 0. All float32; the statistics have one value per output channel.
/// With `transpose` the weight is (IC, OC / groups, kernel...): output channels are dimension 1, those of
/// group g next to each other in the statistics. The arguments are only read. Throws ValueError or TypeError.
QCONV_API std::pair<Tensor, Tensor> fuse_conv_bn_weights(
    const Tensor& weight, const std::optional<Tensor>& bias, const Tensor& bn_mean, const Tensor& bn_var,
    double bn_eps, const std::optional<Tensor>& bn_weight, const std::optional<Tensor>& bn_bias,
    bool transpose = false, std::int64_t groups = 1);

/// The same for a convolution and a module. Throws ValueError when that has no running statistics or another
/// number of channels.
QCONV_API std::pair<Tensor, Tensor> fuse_conv_bn_weights(const ConvNd& conv, const BatchNorm& bn);

/// A copy of the convolution, transposed or not, with the normalization in its weight and bias. Throws
/// ValueError unless both are in eval mode.
template <std::derived_from<ConvNd> Conv>
Conv fuse_conv_bn_eval(const Conv& conv, const BatchNorm& bn);

/// What fuse_conv_bn_eval demands.
QCONV_API void check_fusable(const ConvNd& conv, const BatchNorm& bn);

template <std::derived_from<ConvNd> Conv>
Conv fuse_conv_bn_eval(const Conv& conv, const BatchNorm& bn) {
  check_fusable(conv, bn);
  Conv fused = conv.deep_copy();
  auto [weight, bias] = fuse_conv_bn_weights(conv, bn);
  fused.weight = std::move(weight);
  fused.bias = std::move(bias);
  return fused;
}

}  // namespace qconv::nn
