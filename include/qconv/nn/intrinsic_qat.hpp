#pragma once

#include <qconv/nn/qat.hpp>

/// Convolutions for quantization-aware training with what follows them built in: PyTorch's
/// `torch.ao.nn.intrinsic.qat`.
namespace qconv::nn::intrinsic::qat {

/// Throws ValueError unless the normalization has parameters and running statistics.
QCONV_API void check_trainable(const BatchNorm& bn, std::string_view who);

/// What the classes with a batch normalization share. With f = bn.weight / sqrt(bn.running_var + bn.eps) per
/// output channel, forward() is, approximately (the default):
///
///     bn(conv(input, weight_fake_quant(weight * f)) / f + bias)
///
/// where bn takes the batch's statistics while it trains. This divides by bn.weight. With
/// enable_slow_path_for_better_numerical_stability it takes two convolutions and no division by f, while bn
/// trains:
///
///     conv(input, weight_fake_quant(weight * f)) * (running_std / batch_std)
///         + bn.bias - bn.weight * batch_mean / batch_std
///
/// batch_mean and batch_std being those of conv(input, weight), after bn has taken note of that plus bias;
/// and otherwise conv(input, weight_fake_quant(weight * f)) + bn.bias - bn.weight * (running_mean - bias) /
/// running_std. Then ReLU in the classes that have it.
///
/// The saved state has weight, bias, bn.* and weight_fake_quant.*; PyTorch's version 1, with gamma, beta and
/// the statistics beside the weight, is read too.
class QCONV_API ConvBnNd : public nn::qat::ConvNd {
 public:
  /// Whether bn keeps its statistics whatever train() says.
  bool freeze_bn = false;
  bool enable_slow_path_for_better_numerical_stability = false;

  Tensor forward(const Tensor& input) const override;
  std::pair<Tensor, std::optional<Tensor>> folded() const override;

  void reset_running_stats() { normalization().reset_running_stats(); }
  /// New running statistics, bn.weight uniform in [0, 1), bn.bias 0, and the bias drawn anew.
  void reset_bn_parameters();
  /// bn takes the batch's statistics and updates its own.
  void update_bn_stats();
  /// bn takes its running statistics and leaves them alone.
  void freeze_bn_stats();
  /// bn follows unless freeze_bn.
  void train(bool mode = true) override;

 protected:
  ConvBnNd(const ConvKind& kind, const ConvOptions& options, const std::optional<QConfig>& config)
      : nn::qat::ConvNd(kind, without_bias(options), config) {}
  virtual BatchNorm& normalization() noexcept = 0;
  virtual const BatchNorm& normalization() const noexcept = 0;
  /// The end of the constructors, once bn is there.
  void start(bool with_bias, bool frozen);

  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  static ConvOptions without_bias(ConvOptions options) {
    options.bias = false;
    return options;
  }
  Tensor approximate(const Tensor& input) const;
  Tensor slow(const Tensor& input) const;
  Tensor scaled_weight(const std::vector<float>& factors) const;
};

/// The methods of one class. `Float` is the module it is made from, `Folded` what remains of it: a
/// convolution or one with ReLU.
template <class Self, class Float, class Folded, ConvKind kind_of_self>
class ConvBnOf : public ModuleOf<Self, ConvBnNd> {
  using Conv = decltype(Float::conv);
  using Norm = decltype(Float::bn);

 public:
  static constexpr ConvKind kKind = kind_of_self;
  /// (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, eps,
  /// momentum, freeze_bn, qconfig). Throws ValueError for arguments that no input could make valid, and
  /// without qconfig.
  ConvBnOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
           IntList dilate = 1, std::int64_t group_count = 1, bool with_bias = false,
           PaddingModeArg mode = PaddingMode::zeros, double eps = 1e-5, std::optional<double> momentum = 0.1,
           bool frozen = false, const std::optional<QConfig>& config = {})
      : ConvBnOf(ConvOptions{in, out, std::move(kernel), std::move(step), std::move(pad), std::move(dilate),
                             group_count, with_bias, mode},
                 config, eps, momentum, frozen) {}
  ConvBnOf(const ConvOptions& options, const std::optional<QConfig>& config, double eps = 1e-5,
           std::optional<double> momentum = 0.1, bool frozen = false)
      : ModuleOf<Self, ConvBnNd>(kind_of_self, options, config), bn(options.out_channels, eps, momentum) {
    this->start(options.bias, frozen);
  }

  /// A module with copies of the float module's parameters and statistics, in training mode. Throws
  /// ValueError, in the name of `name` or of the class, when it has no qconfig or its normalization no
  /// parameters or statistics.
  static Self from_float(const Float& module, std::string_view name = {}) {
    const std::string who = name.empty() ? kKind.name() + ".from_float" : std::string(name);
    Self made(nn::qat::options_like(module.conv),
              nn::qat::required_qconfig(module.qconfig, module.conv.qconfig, who), module.bn.eps,
              module.bn.momentum);
    check_trainable(module.bn, who);
    made.copy_parameters(module.conv);
    const bool training = made.bn.training;
    made.bn = module.bn.deep_copy();
    made.bn.training = training;
    return made;
  }
  /// The float module with the normalization folded in.
  Folded to_float() const {
    Conv conv(nn::qat::options_like(*this));
    this->fill(conv);
    return Folded(std::move(conv));
  }

  Norm bn;

 protected:
  BatchNorm& normalization() noexcept override { return bn; }
  const BatchNorm& normalization() const noexcept override { return bn; }
  void unshare() override {
    ConvBnNd::unshare();
    bn = bn.deep_copy();
  }
};

/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBn1d`; it becomes a convolution.
class QCONV_API ConvBn1d final
    : public ConvBnOf<ConvBn1d, intrinsic::ConvBn1d, nn::Conv1d, ConvKind{.ndim = 1, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBn2d`.
class QCONV_API ConvBn2d final
    : public ConvBnOf<ConvBn2d, intrinsic::ConvBn2d, nn::Conv2d, ConvKind{.ndim = 2, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBn3d`.
class QCONV_API ConvBn3d final
    : public ConvBnOf<ConvBn3d, intrinsic::ConvBn3d, nn::Conv3d, ConvKind{.ndim = 3, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBnReLU1d`; it becomes a convolution with ReLU.
class QCONV_API ConvBnReLU1d final
    : public ConvBnOf<ConvBnReLU1d, intrinsic::ConvBnReLU1d, intrinsic::ConvReLU1d,
                      ConvKind{.ndim = 1, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBnReLU2d`.
class QCONV_API ConvBnReLU2d final
    : public ConvBnOf<ConvBnReLU2d, intrinsic::ConvBnReLU2d, intrinsic::ConvReLU2d,
                      ConvKind{.ndim = 2, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvBnReLU3d`.
class QCONV_API ConvBnReLU3d final
    : public ConvBnOf<ConvBnReLU3d, intrinsic::ConvBnReLU3d, intrinsic::ConvReLU3d,
                      ConvKind{.ndim = 3, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using ConvBnOf::ConvBnOf;
};

/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvReLU1d`.
class QCONV_API ConvReLU1d final : public nn::qat::ConvOf<ConvReLU1d, nn::Conv1d, intrinsic::ConvReLU1d,
                                                          ConvKind{.ndim = 1, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvReLU2d`.
class QCONV_API ConvReLU2d final : public nn::qat::ConvOf<ConvReLU2d, nn::Conv2d, intrinsic::ConvReLU2d,
                                                          ConvKind{.ndim = 2, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.intrinsic.qat.ConvReLU3d`.
class QCONV_API ConvReLU3d final : public nn::qat::ConvOf<ConvReLU3d, nn::Conv3d, intrinsic::ConvReLU3d,
                                                          ConvKind{.ndim = 3, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};

/// Does this to every ConvBn* and ConvBnReLU* in the tree, as PyTorch's functions that apply() takes.
QCONV_API void update_bn_stats(Module& tree);
QCONV_API void freeze_bn_stats(Module& tree);

}  // namespace qconv::nn::intrinsic::qat
