#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <qconv/nn/intrinsic.hpp>

/// Float convolutions whose weight passes through a FakeQuantize: PyTorch's `torch.ao.nn.qat`. Modules
/// compute forward only: training itself happens elsewhere, and its state is loaded here.
namespace qconv::nn::qat {

/// What the classes for quantization-aware training share, those of intrinsic::qat included. from_float of
/// the quantized classes takes them.
class QCONV_API ConvNd : public nn::ConvNd {
 public:
  /// Made by the qconfig's weight factory. Its state is saved under "weight_fake_quant.".
  std::shared_ptr<Observer> weight_fake_quant;

  std::string name() const override { return kind_.name(); }
  const ConvKind& kind() const noexcept { return kind_; }
  /// conv(input, weight_fake_quant(weight), bias) [then ReLU], observed. The fake quantization observes the
  /// weight while its observer is enabled.
  Tensor forward(const Tensor& input) const override;
  /// The weight and bias of the convolution that remains of this module, batch normalization folded in;
  /// copies.
  virtual std::pair<Tensor, std::optional<Tensor>> folded() const;

 protected:
  /// Throws ValueError without a qconfig that makes a weight observer.
  ConvNd(const ConvKind& kind, const ConvOptions& options, const std::optional<QConfig>& config);
  /// Takes copies of the float module's weight and bias.
  void copy_parameters(const nn::ConvNd& conv);
  /// Gives a convolution what folded() says, and the flag.
  void fill(nn::ConvNd& conv) const;

  void unshare() override;
  /// The two parts of save: weight and bias; the weight's fake quantization.
  void save_parameters(StateDict& state, const std::string& prefix) const { nn::ConvNd::save(state, prefix); }
  void save_weight_fake_quant(StateDict& state, const std::string& prefix) const;
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  ConvKind kind_;
};

/// The first of the two that is there. Throws ValueError, in the name of `who`, when none is.
QCONV_API const QConfig& required_qconfig(const std::optional<QConfig>& first,
                                          const std::optional<QConfig>& second, std::string_view who);
/// The options that make a convolution like this one.
QCONV_API ConvOptions options_like(const nn::ConvNd& conv);

/// The methods of one class `Self` that differ only in types. `Conv` is the float convolution, `Float` the
/// float module it is made from and becomes again: Conv itself, or a fused module around it.
template <class Self, class Conv, class Float, ConvKind kind_of_self>
class ConvOf : public ModuleOf<Self, ConvNd> {
 public:
  static constexpr ConvKind kKind = kind_of_self;
  /// (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
  /// qconfig). Throws ValueError for arguments that no input could make valid, and without qconfig.
  ConvOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
         IntList dilate = 1, std::int64_t group_count = 1, bool with_bias = true,
         PaddingModeArg mode = PaddingMode::zeros, const std::optional<QConfig>& config = {})
      : ConvOf(ConvOptions{in, out, std::move(kernel), std::move(step), std::move(pad), std::move(dilate),
                           group_count, with_bias, mode},
               config) {}
  ConvOf(const ConvOptions& options, const std::optional<QConfig>& config)
      : ModuleOf<Self, ConvNd>(kind_of_self, options, config) {}

  /// A module with copies of the float module's weight and bias, in training mode; of a fused module's
  /// qconfigs the convolution's own goes first. Throws ValueError, in the name of `name` or of the class,
  /// when there is no qconfig.
  static Self from_float(const Float& module, std::string_view name = {}) {
    const std::string who = name.empty() ? kKind.name() + ".from_float" : std::string(name);
    const Conv& conv = convolution_of(module);
    Self made(options_like(conv), required_qconfig(conv.qconfig, module.qconfig, who));
    made.copy_parameters(conv);
    return made;
  }
  /// The float module without fake quantization, with copies of weight and bias.
  Float to_float() const {
    Conv conv(options_like(*this));
    this->fill(conv);
    return Float(std::move(conv));
  }

 private:
  static const Conv& convolution_of(const Float& module) {
    if constexpr (requires { module.conv; }) {
      return module.conv;
    } else {
      return module;
    }
  }
};

/// PyTorch's `torch.ao.nn.qat.Conv1d`; inputs are (N, C, L).
class QCONV_API Conv1d final : public ConvOf<Conv1d, nn::Conv1d, nn::Conv1d, ConvKind{.ndim = 1}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.qat.Conv2d`; inputs are (N, C, H, W).
class QCONV_API Conv2d final : public ConvOf<Conv2d, nn::Conv2d, nn::Conv2d, ConvKind{.ndim = 2}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.qat.Conv3d`; inputs are (N, C, D, H, W).
class QCONV_API Conv3d final : public ConvOf<Conv3d, nn::Conv3d, nn::Conv3d, ConvKind{.ndim = 3}> {
 public:
  using ConvOf::ConvOf;
};

}  // namespace qconv::nn::qat
