#pragma once

#include <memory>
#include <optional>
#include <string>

#include <qconv/float_convolution.hpp>
#include <qconv/nn/conv_attributes.hpp>
#include <qconv/nn/init.hpp>
#include <qconv/nn/module.hpp>
#include <qconv/qconfig.hpp>

/// Float convolution modules: PyTorch's `torch.nn`, for inference.
namespace qconv::nn {

/// What all float convolutions share.
class QCONV_API ConvNd : public Module, public ConvAttributes {
 public:
  /// float32: (OC, IC / groups, kernel...) or, transposed, (IC, OC / groups, kernel...). Drawn by the
  /// constructor as manual_seed says.
  Tensor weight;
  /// float32, one per output channel, or nothing.
  std::optional<Tensor> bias;

  /// Convolves a float32 tensor (N, C, spatial...); the result lies channels-last in memory. Throws
  /// ValueError or TypeError in the module's name. Readies the weights in each call: a network that runs
  /// often keeps a FloatConvolution.
  virtual Tensor forward(const Tensor& input) const;

  std::string name() const override;
  std::string extra_repr() const override;

 protected:
  template <class Options>
  ConvNd(const ConvKind& kind, const Options& options)
      : ConvAttributes(make_attributes(kind, options, kind.name())), padding_name_(options.padding.name()) {
    initialize(options.bias);
  }
  /// The convolution with another weight and bias of the same sizes; nothing is observed.
  Tensor convolve(const Tensor& input, const Tensor& with_weight, const std::optional<Tensor>& with_bias,
                  const FloatPostOp& post_op = {}) const;
  void unshare() override;
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  void initialize(bool with_bias);
  std::string padding_name_;  // "same" or "valid" if it was given so
};

/// The constructors of one class of float convolutions, in PyTorch's order.
template <class Self, int N>
class ConvOf : public ModuleOf<Self, ConvNd> {
 public:
  /// (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode). Throws
  /// ValueError for arguments that no input could make valid.
  ConvOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
         IntList dilate = 1, std::int64_t group_count = 1, bool with_bias = true,
         PaddingModeArg mode = PaddingMode::zeros)
      : ConvOf(ConvOptions{in, out, std::move(kernel), std::move(step), std::move(pad), std::move(dilate),
                           group_count, with_bias, mode}) {}
  explicit ConvOf(const ConvOptions& options) : ModuleOf<Self, ConvNd>(ConvKind{.ndim = N}, options) {}
};

/// The same for transposed convolutions.
template <class Self, int N>
class ConvTransposeOf : public ModuleOf<Self, ConvNd> {
 public:
  /// (in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
  /// padding_mode). Throws ValueError for arguments that no input could make valid, and for a padding mode
  /// other than zeros.
  ConvTransposeOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
                  IntList output_pad = 0, std::int64_t group_count = 1, bool with_bias = true,
                  IntList dilate = 1, PaddingModeArg mode = PaddingMode::zeros)
      : ConvTransposeOf(ConvTransposeOptions{in, out, std::move(kernel), std::move(step), std::move(pad),
                                             std::move(output_pad), group_count, with_bias, std::move(dilate),
                                             mode}) {}
  explicit ConvTransposeOf(const ConvTransposeOptions& options)
      : ModuleOf<Self, ConvNd>(ConvKind{.ndim = N, .transposed = true}, options) {}
};

/// PyTorch's `torch.nn.Conv1d`; inputs are (N, C, L).
class QCONV_API Conv1d final : public ConvOf<Conv1d, 1> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.nn.Conv2d`; inputs are (N, C, H, W).
class QCONV_API Conv2d final : public ConvOf<Conv2d, 2> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.nn.Conv3d`; inputs are (N, C, D, H, W).
class QCONV_API Conv3d final : public ConvOf<Conv3d, 3> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.nn.ConvTranspose1d`; inputs are (N, C, L).
class QCONV_API ConvTranspose1d final : public ConvTransposeOf<ConvTranspose1d, 1> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};
/// PyTorch's `torch.nn.ConvTranspose2d`; inputs are (N, C, H, W).
class QCONV_API ConvTranspose2d final : public ConvTransposeOf<ConvTranspose2d, 2> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};
/// PyTorch's `torch.nn.ConvTranspose3d`; inputs are (N, C, D, H, W).
class QCONV_API ConvTranspose3d final : public ConvTransposeOf<ConvTranspose3d, 3> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};

}  // namespace qconv::nn
