#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <qconv/nn/conv.hpp>
#include <qconv/nn/conv_attributes.hpp>
#include <qconv/nn/module.hpp>
#include <qconv/ops.hpp>
#include <qconv/qconfig.hpp>

/// What the quantized convolution classes are made of; the classes are in quantized.hpp and
/// intrinsic_quantized.hpp.
namespace qconv::nn {
namespace qat {
class ConvNd;
}

namespace quantized {
namespace reference {
class ConvNd;
}

/// Everything a quantized convolution is: PyTorch's state tuple, its fifteen fields by their names and in
/// their order, and how it runs, which PyTorch keeps in a global.
struct ConvState : ConvAttributes {
  Tensor weight;               ///< qint8, ConvGeometry::weight_sizes
  std::optional<Tensor> bias;  ///< float32, one per output channel
  double scale = 1.0;          ///< of the output
  std::int64_t zero_point = 0;
  bool training = true;
  RequantRule rule = RequantRule::fbgemm;
  std::string engine = {};  ///< as in PrepackOptions
};

/// "QuantizedConv2d", "DynamicQuantizedConvTranspose1d".
QCONV_API std::string quantized_name(const ConvKind& kind);

/// What all quantized convolutions share. The weight is packed; a copy of a module shares the packed weight,
/// which never changes, and nothing else. qconfig is kept for the caller; nothing here reads it, or shows
/// anything to activation_post_process.
class QCONV_API ConvNd : public Module, public ConvAttributes {
 public:
  /// Quantization parameters of the output.
  double scale = 1.0;
  std::int64_t zero_point = 0;

  /// Packs a qint8 weight (ConvGeometry::weight_sizes; per tensor, or per channel on axis 0, transposed on
  /// axis 1) and a float32 bias of out_channels elements or nothing, with the attributes as they are now.
  /// Throws ValueError or TypeError in the module's name. `rule` and `engine` are PrepackOptions'; they stay
  /// in force.
  void set_weight_bias(const Tensor& weight, const std::optional<Tensor>& bias);
  void set_weight_bias(const Tensor& weight, const std::optional<Tensor>& bias, RequantRule rule,
                       const std::string& engine = {});
  /// Copies of what was packed.
  Tensor weight() const { return packed_params_->unpack().first; }
  std::optional<Tensor> bias() const { return packed_params_->unpack().second; }
  const PackedParams& packed_params() const noexcept { return packed_params_; }

  ConvState getstate() const;
  /// Becomes the module that the state tells of. Throws ValueError or TypeError, and changes nothing, when
  /// the state does not fit the class or itself.
  void setstate(const ConvState& state);

  std::string name() const override { return quantized_name(kind_); }
  std::string extra_repr() const override;

 protected:
  template <class Options>
  ConvNd(const ConvKind& kind, const Options& options)
      : ConvAttributes(make_attributes(kind, options, quantized_name(kind))), kind_(kind) {
    zero_fill(options.bias);
  }
  ConvNd(const ConvKind& kind, const ConvState& state) : kind_(kind) { setstate(state); }

  /// One convolution; `extra` is null unless the class adds. The output has the input's dtype, quint8 or
  /// qint8.
  Tensor run(const Tensor& input, const Tensor* extra) const;
  Tensor run_dynamic(const Tensor& input, bool reduce_range) const;
  /// Packs the weight anew from memory of its own.
  void unshare() override;
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  void zero_fill(bool with_bias);
  PackedParams pack(const ConvAttributes& attributes, const Tensor& weight, const std::optional<Tensor>& bias,
                    RequantRule rule, const std::string& engine) const;

  ConvKind kind_;
  PackedParams packed_params_;
  RequantRule rule_ = RequantRule::fbgemm;
  std::string engine_;
};

/// What a quantized module is made of when it comes from a float one. See from_float below.
QCONV_API ConvState state_from_float(const ConvKind& kind, const nn::ConvNd& conv,
                                     const std::optional<QConfig>& qconfig, const Observer* activation,
                                     std::string_view name);
QCONV_API ConvState state_from_qat(const ConvKind& kind, const nn::qat::ConvNd& module,
                                   std::string_view name);
QCONV_API ConvState state_from_reference(const ConvKind& kind, const reference::ConvNd& module,
                                         double output_scale, std::int64_t output_zero_point);

/// The methods of one class `Self` that differ only in types. `Float` is the float class it is made from,
/// `Reference` the reference class.
template <class Self, class Float, class Reference, ConvKind kind_of_self>
class ConvMethods : public ModuleOf<Self, ConvNd> {
 public:
  static constexpr ConvKind kKind = kind_of_self;
  using ModuleOf<Self, ConvNd>::ModuleOf;

  /// Convolves a quantized tensor (N, C, spatial...), quint8 or qint8, quantized per tensor. The result has
  /// its dtype and the module's scale and zero_point, and lies channels-last in memory. Throws ValueError or
  /// TypeError in the module's name. Any number of threads may call it at once.
  Tensor forward(const Tensor& input) const requires(!has_add(kKind.post_op) && !kKind.dynamic) {
    return this->run(input, nullptr);
  }
  /// The same plus `extra`, quantized, of the output's sizes and dtype; it is not touched.
  Tensor forward(const Tensor& input, const Tensor& extra) const requires(has_add(kKind.post_op)) {
    return this->run(input, &extra);
  }
  /// Dynamic classes: a float32 tensor in and out, quantized in between with parameters chosen from the
  /// input's range (0..127 with `reduce_range`, else 0..255).
  Tensor forward(const Tensor& input, bool reduce_range = true) const requires(kKind.dynamic) {
    return this->run_dynamic(input, reduce_range);
  }
  template <class... Args>
  Tensor operator()(const Args&... args) const {
    return forward(args...);
  }

  /// Quantizes a float module. Its qconfig's weight observer is made afresh and shown the weight; the
  /// output's scale and zero point are those of activation_post_process, or 1 and 0 when it has none or one
  /// that chooses nothing (float32, dynamic). The float module is only read; the bias is copied.
  ///
  /// Throws, in the name of `name` (say, the module's place in the network) or of the class: ValueError
  /// without qconfig, for an observer that has seen no data, and for a per-channel weight observer on another
  /// axis; TypeError for a weight observer of a dtype other than qint8 or an activation observer of one other
  /// than quint8 and qint8.
  static Self from_float(const Float& module, std::string_view name = {}) {
    if constexpr (requires { module.conv; }) {
      return from_state(state_from_float(Self::kKind, module.conv, module.qconfig,
                                         module.activation_post_process.get(), name));
    } else {
      return from_state(
          state_from_float(Self::kKind, module, module.qconfig, module.activation_post_process.get(), name));
    }
  }
  /// Quantizes a module for quantization-aware training: of qat and intrinsic::qat, those with ReLU by the
  /// classes with ReLU; batch normalization is folded in first. The weight's parameters are those of
  /// weight_fake_quant, which sees the weight once more before, as in PyTorch, unless its observer is
  /// disabled: a moving average moves once more, and so do PyTorch's numbers. This happens to copies; the
  /// module is only read.
  ///
  /// Throws as above, and TypeError for a module of another dimension or with another operation behind it,
  /// ValueError without activation_post_process.
  static Self from_float(const nn::qat::ConvNd& module,
                         std::string_view name = {}) requires(!kKind.transposed && !kKind.dynamic &&
                                                              !has_add(kKind.post_op)) {
    return from_state(state_from_qat(Self::kKind, module, name));
  }
  /// Makes the module of a reference module's quantized weight, which must be qint8 (TypeError), and the
  /// given parameters of the output.
  static Self from_reference(const Reference& module, double output_scale, std::int64_t output_zero_point) {
    return from_state(state_from_reference(Self::kKind, module, output_scale, output_zero_point));
  }
  /// The module that getstate() was called on. Throws as setstate.
  static Self from_state(const ConvState& state) { return Self(state); }

  /// As in PyTorch, this and deep_copy are independent of this module in all that can change. deep_copy packs
  /// the weight again.
  Self copy() const { return Self(static_cast<const Self&>(*this)); }
};

/// The constructors of one class of quantized convolutions, in PyTorch's order. The weight is zero until
/// set_weight_bias.
template <class Self, class Float, class Reference, ConvKind kind_of_self>
class ConvOf : public ConvMethods<Self, Float, Reference, kind_of_self> {
  using Base = ConvMethods<Self, Float, Reference, kind_of_self>;

 public:
  /// (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode). Throws
  /// ValueError for arguments that no input could make valid.
  ConvOf(std::int64_t in, std::int64_t out, IntList kernel, IntList step = 1, Padding pad = 0,
         IntList dilate = 1, std::int64_t group_count = 1, bool with_bias = true,
         PaddingModeArg mode = PaddingMode::zeros)
      : ConvOf(ConvOptions{in, out, std::move(kernel), std::move(step), std::move(pad), std::move(dilate),
                           group_count, with_bias, mode}) {}
  explicit ConvOf(const ConvOptions& options) : Base(kind_of_self, options) {}
  explicit ConvOf(const ConvState& state) : Base(kind_of_self, state) {}
};

/// The same for transposed convolutions.
template <class Self, class Float, class Reference, ConvKind kind_of_self>
class ConvTransposeOf : public ConvMethods<Self, Float, Reference, kind_of_self> {
  using Base = ConvMethods<Self, Float, Reference, kind_of_self>;

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
  explicit ConvTransposeOf(const ConvTransposeOptions& options) : Base(kind_of_self, options) {}
  explicit ConvTransposeOf(const ConvState& state) : Base(kind_of_self, state) {}
};

}  // namespace quantized
}  // namespace qconv::nn
