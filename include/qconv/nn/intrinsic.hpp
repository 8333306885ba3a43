#pragma once

#include <memory>
#include <optional>
#include <string>

#include <qconv/nn/conv.hpp>

/// A float convolution and what follows it, as one module: PyTorch's `torch.ao.nn.intrinsic`. The
/// classes of qconv::nn::intrinsic::quantized are made from them.
namespace qconv::nn::intrinsic {

/// What all fused float modules share. The saved state has the convolution's entries under "0.", as PyTorch's
/// containers do.
class QCONV_API FusedConv : public Module {
 public:
  /// How to quantize the module; the convolution's own qconfig goes first for the weight.
  std::optional<QConfig> qconfig;
  /// Sees every output of forward(), that is after ReLU and sum, if there is one.
  std::shared_ptr<Observer> activation_post_process;

  std::string name() const override { return kind_.name(); }
  std::string extra_repr() const override;

 protected:
  explicit FusedConv(ConvKind kind) : kind_(kind) {}
  virtual const ConvNd& convolution() const noexcept = 0;
  virtual ConvNd& convolution() noexcept = 0;

  /// conv(input) [+ extra] [then ReLU], observed.
  Tensor run(const Tensor& input, const Tensor* extra) const;
  void save(StateDict& state, const std::string& prefix) const override;
  LoadResult load(const StateDict& state, const std::string& prefix, bool strict) override;

 private:
  ConvKind kind_;
};

/// One class of fused modules around a convolution of type Conv.
template <class Conv, int N, PostOp post_op>
class FusedConvOf : public FusedConv {
 public:
  explicit FusedConvOf(Conv convolution_module)
      : FusedConv({.ndim = N, .post_op = post_op}), conv(std::move(convolution_module)) {}

  Tensor forward(const Tensor& input) const requires(!has_add(post_op)) { return run(input, nullptr); }
  /// `extra` has the sizes of the convolution's output.
  Tensor forward(const Tensor& input, const Tensor& extra) const requires(has_add(post_op)) {
    return run(input, &extra);
  }

  Conv conv;

 protected:
  const ConvNd& convolution() const noexcept override { return conv; }
  ConvNd& convolution() noexcept override { return conv; }
};

/// relu(conv(input)).
class QCONV_API ConvReLU1d final : public FusedConvOf<Conv1d, 1, PostOp::relu> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input)).
class QCONV_API ConvReLU2d final : public FusedConvOf<Conv2d, 2, PostOp::relu> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input)).
class QCONV_API ConvReLU3d final : public FusedConvOf<Conv3d, 3, PostOp::relu> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// conv(input) + extra.
class QCONV_API ConvAdd2d final : public FusedConvOf<Conv2d, 2, PostOp::add> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input) + extra).
class QCONV_API ConvAddReLU2d final : public FusedConvOf<Conv2d, 2, PostOp::add_relu> {
 public:
  using FusedConvOf::FusedConvOf;
};

}  // namespace qconv::nn::intrinsic
