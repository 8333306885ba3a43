#pragma once

#include <optional>
#include <string>

#include <qconv/nn/conv.hpp>
#include <qconv/nn/conv_attributes.hpp>
#include <qconv/nn/module.hpp>
#include <qconv/qparams.hpp>

/// Float convolutions that carry the quantization parameters of their weight: PyTorch's
/// `torch.ao.nn.quantized.reference`. They show in float what quantizing the weight does, and turn into
/// quantized modules by from_reference.
namespace qconv::nn::quantized::reference {

/// How to quantize the weight. The defaults are PyTorch's; a quantized module needs qint8.
struct WeightQParams {
  /// Per tensor (one scale), or per channel (axis of the weight's dimension). Scales are kept as floats.
  QParams qparams = QParams::per_tensor(1.0, 0);
  DType dtype = quint8;
};

/// What all reference convolutions share.
class QCONV_API ConvNd : public Module, public ConvAttributes {
 public:
  Tensor weight;               ///< float32
  std::optional<Tensor> bias;  ///< float32
  const WeightQParams& weight_qparams() const noexcept { return weight_qparams_; }
  /// Throws ValueError or TypeError when they do not fit the weight.
  void set_weight_qparams(const WeightQParams& weight_qparams) { weight_qparams_ = rounded(weight_qparams); }

  /// The weight, quantized.
  Tensor get_quantized_weight() const;
  /// The weight quantized and dequantized: what forward convolves with.
  Tensor get_weight() const { return get_quantized_weight().dequantize(); }
  /// float32 in and out, with the module's padding mode (PyTorch forgets it here).
  Tensor forward(const Tensor& input) const;

  /// "QuantizedConv2d(Reference)".
  std::string name() const override;
  std::string extra_repr() const override;

 protected:
  /// Copies weight and bias.
  ConvNd(const nn::ConvNd& conv, const WeightQParams& weight_qparams);

  /// Entries weight, bias, weight_scale (float32), weight_zero_point (int64) and weight_axis (int32), the
  /// numbers 0-dimensional when there is one for the tensor. PyTorch's weight_qscheme and weight_dtype are no
  /// tensors and have no place in a StateDict.
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;
  void unshare() override;

 private:
  // Checks the parameters and makes their scales floats.
  WeightQParams rounded(WeightQParams weight_qparams) const;

  WeightQParams weight_qparams_;
};

/// The parameters that the qconfig's weight observer finds for the weight, along the output channels if it is
/// per channel. Throws, in the name of `name` or of the class, ValueError without a qconfig.
QCONV_API WeightQParams observed_weight_qparams(const nn::ConvNd& conv, std::string_view name);

/// The constructor of one class, from its float class `Float`.
template <class Self, class Float>
class ConvOf : public ModuleOf<Self, ConvNd> {
 public:
  /// Copies weight and bias. Throws ValueError or TypeError when the parameters do not fit the weight.
  explicit ConvOf(const Float& conv, const WeightQParams& weight_qparams = {})
      : ModuleOf<Self, ConvNd>(conv, weight_qparams) {}
  static Self from_float(const Float& conv, const WeightQParams& weight_qparams) {
    return Self(conv, weight_qparams);
  }
  /// With the parameters that the module's qconfig finds; what convert does with the reference mapping.
  static Self from_float(const Float& conv, std::string_view name = {}) {
    return Self(conv, observed_weight_qparams(conv, name));
  }
};

/// The reference form of nn::Conv1d.
class QCONV_API Conv1d final : public ConvOf<Conv1d, nn::Conv1d> {
 public:
  using ConvOf::ConvOf;
};
/// The reference form of nn::Conv2d.
class QCONV_API Conv2d final : public ConvOf<Conv2d, nn::Conv2d> {
 public:
  using ConvOf::ConvOf;
};
/// The reference form of nn::Conv3d.
class QCONV_API Conv3d final : public ConvOf<Conv3d, nn::Conv3d> {
 public:
  using ConvOf::ConvOf;
};
/// The reference form of nn::ConvTranspose1d.
class QCONV_API ConvTranspose1d final : public ConvOf<ConvTranspose1d, nn::ConvTranspose1d> {
 public:
  using ConvOf::ConvOf;
};
/// The reference form of nn::ConvTranspose2d.
class QCONV_API ConvTranspose2d final : public ConvOf<ConvTranspose2d, nn::ConvTranspose2d> {
 public:
  using ConvOf::ConvOf;
};
/// The reference form of nn::ConvTranspose3d.
class QCONV_API ConvTranspose3d final : public ConvOf<ConvTranspose3d, nn::ConvTranspose3d> {
 public:
  using ConvOf::ConvOf;
};

}  // namespace qconv::nn::quantized::reference
