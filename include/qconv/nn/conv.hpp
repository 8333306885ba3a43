#pragma once

#include <memory>
#include <optional>
#include <string>

#include <qconv/nn/conv_attributes.hpp>
#include <qconv/nn/init.hpp>
#include <qconv/nn/module.hpp>
#include <qconv/qconfig.hpp>

/// Float convolution modules: PyTorch's `torch.nn`, for inference.
namespace qconv::nn {

class StateReader;  // internal
namespace intrinsic {
class FusedConv;
}

/// What all float convolutions share. Copying a module copies handles: both have the same weights and
/// observer, as in PyTorch; `deep_copy` of the class shares nothing.
class QCONV_API ConvNd : public Module, public ConvAttributes {
 public:
  /// float32: (OC, IC / groups, kernel...) or, transposed, (IC, OC / groups, kernel...). Drawn by the
  /// constructor as manual_seed says.
  Tensor weight;
  /// float32, one per output channel, or nothing.
  std::optional<Tensor> bias;
  /// How to quantize the module; from_float of the quantized classes needs it.
  std::optional<QConfig> qconfig;
  /// Sees every output of forward(), if there is one. Its state is saved under "activation_post_process.".
  std::shared_ptr<Observer> activation_post_process;

  /// Convolves a float32 tensor (N, C, spatial...); the result lies channels-last in memory. Throws
  /// ValueError or TypeError in the module's name. Readies the weights in each call: a network that runs
  /// often keeps a FloatConvolution.
  Tensor forward(const Tensor& input) const;
  Tensor operator()(const Tensor& input) const { return forward(input); }

  std::string name() const override;
  std::string extra_repr() const override;

 protected:
  template <class Options>
  ConvNd(const ConvKind& kind, const Options& options)
      : ConvAttributes(make_attributes(kind, options, kind.name())), padding_name_(options.padding.name()) {
    initialize(options.bias);
  }
  /// Gives this copy weights and an observer of its own.
  void unshare();

  void save(StateDict& state, const std::string& prefix) const override;
  LoadResult load(const StateDict& state, const std::string& prefix, bool strict) override;

 private:
  friend class intrinsic::FusedConv;
  void initialize(bool with_bias);
  // Loading in two steps, so that nothing changes unless all is well.
  struct Staged {
    const Tensor* weight = nullptr;
    const Tensor* bias = nullptr;
    bool observer = false;
  };
  Staged read(StateReader& reader, const std::string& key_prefix) const;
  void take(const Staged& staged, const StateDict& state, const std::string& prefix);
  std::string padding_name_;  // "same" or "valid" if it was given so
};

/// The constructors of one class of float convolutions, in PyTorch's order, and its copies.
template <class Self, int N>
class ConvOf : public ConvNd {
 public:
  /// (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode). Throws
  /// ValueError for arguments that no input could make valid.
  ConvOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
         IntList dilate = 1, std::int64_t group_count = 1, bool with_bias = true,
         PaddingModeArg mode = PaddingMode::zeros)
      : ConvOf(ConvOptions{in, out, std::move(kernel), std::move(step), std::move(pad), std::move(dilate),
                           group_count, with_bias, mode}) {}
  explicit ConvOf(const ConvOptions& options) : ConvNd({.ndim = N}, options) {}

  /// A copy with weights and observer of its own.
  Self deep_copy() const {
    Self copy(static_cast<const Self&>(*this));
    copy.unshare();
    return copy;
  }
};

/// The same for transposed convolutions.
template <class Self, int N>
class ConvTransposeOf : public ConvNd {
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
      : ConvNd({.ndim = N, .transposed = true}, options) {}

  Self deep_copy() const {
    Self copy(static_cast<const Self&>(*this));
    copy.unshare();
    return copy;
  }
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
