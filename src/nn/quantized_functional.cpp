#include <cmath>
#include <limits>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/nn/quantized_functional.hpp>
#include <qconv/quantize.hpp>

#include "nn/output_qparams.hpp"
#include "nn/python_repr.hpp"
#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn::quantized {
namespace {

OutputQParams observed_qparams(const Module& module, std::string_view name) {
  const std::string who = name.empty() ? module.name() : std::string(name);
  check(module.activation_post_process != nullptr,
        "{}: the {} must have an activation_post_process attached, as prepare does", who, module.name());
  return output_qparams(who, *module.activation_post_process);
}

// Both classes below keep these two; PyTorch saves them with 1 element or as 0-dimensional.
void read_qparams(StateReader& reader, const std::string& prefix, double& scale, std::int64_t& zero_point) {
  const auto new_scale = reader.number(prefix + "scale", std::numeric_limits<float>::min(),
                                       std::numeric_limits<float>::max(), false);
  const auto new_zero_point = reader.number(prefix + "zero_point", std::numeric_limits<std::int32_t>::min(),
                                            std::numeric_limits<std::int32_t>::max(), true);
  reader.then([&scale, &zero_point, new_scale, new_zero_point] {
    if (new_scale) scale = *new_scale;
    if (new_zero_point) zero_point = static_cast<std::int64_t>(*new_zero_point);
  });
}

}  // namespace

Quantize::Quantize(double output_scale, std::int64_t output_zero_point, DType output_dtype)
    : scale(static_cast<float>(output_scale)), zero_point(output_zero_point), dtype(output_dtype) {
  check<TypeError>(qconv::is_quantized(dtype), "Quantize: dtype must be quint8, qint8 or qint32, got {}",
                   qconv::to_string(dtype));
  check_qparams(QParams::per_tensor(scale, zero_point), {}, dtype, "Quantize");
}

Quantize Quantize::from_float(const QuantStub& stub, std::string_view name) {
  const OutputQParams p = observed_qparams(stub, name);
  return {p.scale, p.zero_point, stub.activation_post_process->dtype()};
}

std::string Quantize::extra_repr() const {
  return fmt::format("scale={}, zero_point={}, dtype={}", python_float(scale), zero_point,
                     qconv::to_string(dtype));
}

Tensor Quantize::forward(const Tensor& input) const {
  return quantize_per_tensor(input, scale, zero_point, dtype);
}

void Quantize::save(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "scale", Tensor::from_data(std::vector<float>{static_cast<float>(scale)}, {1}));
  state.set(prefix + "zero_point", Tensor::from_data(std::vector<std::int64_t>{zero_point}, {1}));
}

void Quantize::read(StateReader& reader, const std::string& prefix) {
  read_qparams(reader, prefix, scale, zero_point);
}

Tensor FloatFunctional::add(const Tensor& a, const Tensor& b) const {
  return observed(functional::add(a, b));
}

Tensor FloatFunctional::add_relu(const Tensor& a, const Tensor& b) const {
  return observed(functional::relu(functional::add(a, b)));
}

Tensor FloatFunctional::cat(std::span<const Tensor> tensors, int dim) const {
  return observed(functional::cat(tensors, dim));
}

QFunctional QFunctional::from_float(const FloatFunctional& module, std::string_view name) {
  const OutputQParams p = observed_qparams(module, name);
  QFunctional made;
  made.scale = p.scale;
  made.zero_point = p.zero_point;
  return made;
}

std::string QFunctional::extra_repr() const {
  return fmt::format("scale={}, zero_point={}", python_float(scale), zero_point);
}

Tensor QFunctional::add(const Tensor& a, const Tensor& b) const { return ops::add(a, b, scale, zero_point); }

Tensor QFunctional::add_relu(const Tensor& a, const Tensor& b) const {
  return ops::add_relu(a, b, scale, zero_point);
}

Tensor QFunctional::cat(std::span<const Tensor> tensors, int dim) const {
  return ops::cat(tensors, dim, scale, zero_point);
}

void QFunctional::save(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "scale", Tensor::scalar(static_cast<float>(scale)));
  state.set(prefix + "zero_point", Tensor::scalar(zero_point));
}

void QFunctional::read(StateReader& reader, const std::string& prefix) {
  read_qparams(reader, prefix, scale, zero_point);
}

}  // namespace qconv::nn::quantized
