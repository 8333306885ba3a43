#pragma once

#include <string>
#include <string_view>

#include <qconv/nn/batch_norm.hpp>
#include <qconv/nn/conv.hpp>

/// A float convolution and what follows it, as one module: PyTorch's `torch.ao.nn.intrinsic`. The
/// classes of qconv::nn::intrinsic::quantized are made from them.
namespace qconv::nn::intrinsic {

/// Throws ValueError, in the name of `who`, unless the normalization takes what the convolution gives.
QCONV_API void check_channels(std::string_view who, const ConvNd& conv, const BatchNorm& bn);

/// What all fused float modules share. The saved state has the convolution's entries under "0." and the batch
/// normalization's under "1.", as PyTorch's containers do. Classes without a sum show each output to
/// activation_post_process twice, as PyTorch's do; only moving averages tell. Where the module has a qconfig,
/// the convolution's own goes first for the weight.
class QCONV_API FusedConv : public Module {
 public:
  std::string name() const override { return kind_.name(); }
  std::string extra_repr() const override;
  void train(bool mode = true) override;

 protected:
  explicit FusedConv(const ConvKind& kind) : kind_(kind) {}
  virtual const ConvNd& convolution() const noexcept = 0;
  virtual ConvNd& convolution() noexcept = 0;
  virtual const BatchNorm* normalization() const noexcept { return nullptr; }
  virtual BatchNorm* normalization() noexcept { return nullptr; }

  /// conv(input) [normalized] [+ extra] [then ReLU], observed.
  Tensor run(const Tensor& input, const Tensor* extra) const;
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  ConvKind kind_;
};

/// One class of fused modules around a convolution of type Conv.
template <class Self, class Conv, ConvKind kind>
class FusedConvOf : public ModuleOf<Self, FusedConv> {
 public:
  static constexpr ConvKind kKind = kind;
  explicit FusedConvOf(Conv convolution_module)
      : ModuleOf<Self, FusedConv>(kind), conv(std::move(convolution_module)) {
    this->training = conv.training;
  }

  Tensor forward(const Tensor& input) const requires(!has_add(kind.post_op)) {
    return this->run(input, nullptr);
  }
  /// `extra` has the sizes of the convolution's output.
  Tensor forward(const Tensor& input, const Tensor& extra) const requires(has_add(kind.post_op)) {
    return this->run(input, &extra);
  }

  Conv conv;

 protected:
  const ConvNd& convolution() const noexcept override { return conv; }
  ConvNd& convolution() noexcept override { return conv; }
  void unshare() override {
    FusedConv::unshare();
    conv = conv.deep_copy();
  }
};

/// One class with a batch normalization of type Norm behind the convolution.
template <class Self, class Conv, class Norm, ConvKind kind>
class FusedConvBnOf : public FusedConvOf<Self, Conv, kind> {
 public:
  /// Throws ValueError unless both have the same number of channels.
  FusedConvBnOf(Conv convolution_module, Norm batch_norm)
      : FusedConvOf<Self, Conv, kind>(std::move(convolution_module)), bn(std::move(batch_norm)) {
    check_channels(kind.name(), this->conv, bn);
  }

  Norm bn;

 protected:
  const BatchNorm* normalization() const noexcept override { return &bn; }
  BatchNorm* normalization() noexcept override { return &bn; }
  void unshare() override {
    FusedConvOf<Self, Conv, kind>::unshare();
    bn = bn.deep_copy();
  }
};

/// relu(conv(input)).
class QCONV_API ConvReLU1d final
    : public FusedConvOf<ConvReLU1d, Conv1d, ConvKind{.ndim = 1, .post_op = PostOp::relu}> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input)).
class QCONV_API ConvReLU2d final
    : public FusedConvOf<ConvReLU2d, Conv2d, ConvKind{.ndim = 2, .post_op = PostOp::relu}> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input)).
class QCONV_API ConvReLU3d final
    : public FusedConvOf<ConvReLU3d, Conv3d, ConvKind{.ndim = 3, .post_op = PostOp::relu}> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// conv(input) + extra.
class QCONV_API ConvAdd2d final
    : public FusedConvOf<ConvAdd2d, Conv2d, ConvKind{.ndim = 2, .post_op = PostOp::add}> {
 public:
  using FusedConvOf::FusedConvOf;
};
/// relu(conv(input) + extra).
class QCONV_API ConvAddReLU2d final
    : public FusedConvOf<ConvAddReLU2d, Conv2d, ConvKind{.ndim = 2, .post_op = PostOp::add_relu}> {
 public:
  using FusedConvOf::FusedConvOf;
};

/// bn(conv(input)); what intrinsic::qat::ConvBn1d is made from.
class QCONV_API ConvBn1d final
    : public FusedConvBnOf<ConvBn1d, Conv1d, BatchNorm1d, ConvKind{.ndim = 1, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};
/// bn(conv(input)).
class QCONV_API ConvBn2d final
    : public FusedConvBnOf<ConvBn2d, Conv2d, BatchNorm2d, ConvKind{.ndim = 2, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};
/// bn(conv(input)).
class QCONV_API ConvBn3d final
    : public FusedConvBnOf<ConvBn3d, Conv3d, BatchNorm3d, ConvKind{.ndim = 3, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};
/// relu(bn(conv(input))).
class QCONV_API ConvBnReLU1d final
    : public FusedConvBnOf<ConvBnReLU1d, Conv1d, BatchNorm1d,
                           ConvKind{.ndim = 1, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};
/// relu(bn(conv(input))).
class QCONV_API ConvBnReLU2d final
    : public FusedConvBnOf<ConvBnReLU2d, Conv2d, BatchNorm2d,
                           ConvKind{.ndim = 2, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};
/// relu(bn(conv(input))).
class QCONV_API ConvBnReLU3d final
    : public FusedConvBnOf<ConvBnReLU3d, Conv3d, BatchNorm3d,
                           ConvKind{.ndim = 3, .post_op = PostOp::relu, .batch_norm = true}> {
 public:
  using FusedConvBnOf::FusedConvBnOf;
};

}  // namespace qconv::nn::intrinsic
