#pragma once

#include <span>
#include <string>
#include <string_view>

#include <qconv/nn/container.hpp>

namespace qconv::nn::quantized {

/// float32 in, quantized out: PyTorch's `torch.ao.nn.quantized.Quantize`. State: scale (float32) and
/// zero_point (int64), 1 element each.
class QCONV_API Quantize final : public ModuleOf<Quantize> {
 public:
  /// Throws ValueError or TypeError unless they are parameters of a quint8, qint8 or qint32 tensor.
  Quantize(double output_scale, std::int64_t output_zero_point, DType output_dtype);
  /// From a stub whose observer has seen data; throws ValueError, in the name of `name` or of the class,
  /// otherwise.
  static Quantize from_float(const QuantStub& stub, std::string_view name = {});

  std::string name() const override { return "Quantize"; }
  std::string extra_repr() const override;
  Tensor forward(const Tensor& input) const;

  double scale;
  std::int64_t zero_point;
  DType dtype;

 protected:
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;
};

/// Quantized in, float32 out: PyTorch's `torch.ao.nn.quantized.DeQuantize`.
class QCONV_API DeQuantize final : public ModuleOf<DeQuantize> {
 public:
  static DeQuantize from_float(const DeQuantStub&, std::string_view = {}) { return {}; }
  std::string name() const override { return "DeQuantize"; }
  Tensor forward(const Tensor& input) const { return input.dequantize(); }
};

/// Functions of two tensors and more as modules, so that their output has parameters: sums around a residual
/// block, concatenations. In a network, reach it by `child_as<nn::quantized::Functional>("skip").add(a, b)`,
/// before and after conversion.
class QCONV_API Functional : public Module {
 public:
  virtual Tensor add(const Tensor& a, const Tensor& b) const = 0;
  virtual Tensor add_relu(const Tensor& a, const Tensor& b) const = 0;
  virtual Tensor cat(std::span<const Tensor> tensors, int dim = 0) const = 0;
  /// add
  Tensor forward(const Tensor& a, const Tensor& b) const { return add(a, b); }
};

/// On float32 tensors, observed: PyTorch's `torch.ao.nn.quantized.FloatFunctional`.
class QCONV_API FloatFunctional final : public ModuleOf<FloatFunctional, Functional> {
 public:
  std::string name() const override { return "FloatFunctional"; }
  Tensor add(const Tensor& a, const Tensor& b) const override;
  Tensor add_relu(const Tensor& a, const Tensor& b) const override;
  Tensor cat(std::span<const Tensor> tensors, int dim = 0) const override;
};

/// On quantized tensors, with the parameters of the output: PyTorch's `torch.ao.nn.quantized.QFunctional`.
/// State: scale (float32) and zero_point (int64), 0-dimensional.
class QCONV_API QFunctional final : public ModuleOf<QFunctional, Functional> {
 public:
  /// Throws as Quantize::from_float.
  static QFunctional from_float(const FloatFunctional& module, std::string_view name = {});

  std::string name() const override { return "QFunctional"; }
  std::string extra_repr() const override;
  Tensor add(const Tensor& a, const Tensor& b) const override;
  Tensor add_relu(const Tensor& a, const Tensor& b) const override;
  Tensor cat(std::span<const Tensor> tensors, int dim = 0) const override;

  double scale = 1.0;
  std::int64_t zero_point = 0;

 protected:
  void save(StateDict& state, const std::string& prefix) const override;
  void read(StateReader& reader, const std::string& prefix) override;
};

}  // namespace qconv::nn::quantized
