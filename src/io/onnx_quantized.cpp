// Builders of QuantizeLinear, DequantizeLinear and QLinearConv.
#include <cmath>

#include <qconv/quantize.hpp>

#include "io/onnx_reader.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::kNoValue;
using graph::Value;
using graph::ValueId;

namespace {

struct Affine {
  QParams qparams;
  DType dtype;  // quint8, qint8 or qint32
};

// Scale and zero point from two constant inputs; the zero point's type is the integers' type. `axis` applies
// where there is more than one scale, and where the node says so although there is one: the arithmetic of a
// layer of one output depends on it.
Affine read_affine(const OnnxNode& node, int scale_input, int zero_point_input, std::int64_t axis,
                   const Shape& sizes, DType fallback) {
  const int rank = sizes.rank();
  check(node.integer("block_size", 0) == 0, "blocked quantization is not supported");
  const Tensor scale = node.constant(scale_input, "scale");
  check(scale.dtype() == DType::float32 && scale.dim() <= 1 && scale.numel() >= 1,
        "the scale must be float32, one or a vector, got {}", scale.to_string());
  Affine affine{{}, fallback};
  affine.qparams.scales.clear();
  for (const float s : scale.to_vector<float>()) affine.qparams.scales.push_back(static_cast<double>(s));
  affine.qparams.zero_points.assign(affine.qparams.scales.size(), 0);
  if (node.has_input(zero_point_input)) {
    const Tensor zero_point = node.constant(zero_point_input, "zero point");
    switch (zero_point.dtype()) {
      case DType::uint8:
        affine.dtype = DType::quint8;
        break;
      case DType::int8:
        affine.dtype = DType::qint8;
        break;
      case DType::int32:
        affine.dtype = DType::qint32;
        break;
      default:
        throw FileError(
            fmt::format("the zero point must be uint8, int8 or int32, got {}", zero_point.to_string()));
    }
    check(zero_point.numel() == scale.numel(), "{} scales and {} zero points", scale.numel(),
          zero_point.numel());
    const Tensor flat = zero_point.reshape({zero_point.numel()});
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      affine.qparams.zero_points[static_cast<std::size_t>(i)] =
          static_cast<std::int64_t>(flat.select(0, i).item());
    }
  }
  const std::int64_t wrapped = axis < 0 ? axis + rank : axis;
  if (affine.qparams.scales.size() == 1 && scale.dim() == 1 && rank >= 2 && node.has("axis") &&
      wrapped >= 0 && wrapped < rank && sizes[static_cast<int>(wrapped)] == 1) {
    affine.qparams.axis = static_cast<int>(wrapped);
  }
  if (affine.qparams.scales.size() > 1) {
    check(wrapped >= 0 && wrapped < rank, "axis {} is out of range for {} dimensions", axis, rank);
    affine.qparams.axis = static_cast<int>(wrapped);
  }
  return affine;
}

Affine read_affine_per_tensor(const OnnxNode& node, int scale_input, int zero_point_input, DType fallback) {
  Affine affine = read_affine(node, scale_input, zero_point_input, 0, {1}, fallback);
  check(affine.qparams.scales.size() == 1, "activations are quantized per tensor; got {} scales",
        affine.qparams.scales.size());
  check(affine.dtype != DType::qint32, "activations are quantized to 8 bits; got int32");
  check_qparams(affine.qparams, Shape{1}, affine.dtype, "quantization");
  return affine;
}

// Plain integers with parameters, as a quantized tensor. uint8 becomes qint8 by an exact shift of 128:
// weights are qint8 here.
Tensor as_quantized(const Tensor& integers, Affine affine) {
  check_qparams(affine.qparams, integers.sizes(), affine.dtype, "quantization");
  if (integers.dtype() != DType::uint8) return make_quantized(integers, affine.qparams);
  Tensor shifted = Tensor::empty(integers.sizes(), DType::int8);
  const Tensor dense = integers.contiguous();
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    shifted.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(dense.data<std::uint8_t>()[i] - 128);
  }
  for (std::int64_t& z : affine.qparams.zero_points) z -= 128;
  return make_quantized(shifted, affine.qparams);
}

// A float constant, stored as the int8 tensor that it stands for.
ValueId dequantized_constant(const OnnxNode& node, const Tensor& integers, const Affine& affine,
                             const std::string& name) {
  const bool matches = (affine.dtype == DType::quint8 && integers.dtype() == DType::uint8) ||
                       (affine.dtype == DType::qint8 && integers.dtype() == DType::int8) ||
                       (affine.dtype == DType::qint32 && integers.dtype() == DType::int32);
  check(matches, "the zero point stands for {}, the integers are {}", to_string(affine.dtype),
        integers.to_string());
  const Tensor quantized = as_quantized(integers, affine);
  return quantized.dtype() == DType::qint8 ? node.graph().add_dequantized_constant(name, quantized)
                                           : node.graph().add_constant(name, quantized.dequantize());
}

DType dtype_of_integers(const Tensor& integers) {
  switch (integers.dtype()) {
    case DType::uint8:
      return DType::quint8;
    case DType::int8:
      return DType::qint8;
    case DType::int32:
      return DType::qint32;
    default:
      throw FileError(fmt::format("expected integers of 8 or 32 bits, got {}", integers.to_string()));
  }
}

void check_same(const Value& v, const Affine& affine) {
  check(is_quantized(v.dtype), "'{}' is {}, expected quantized integers", v.name, to_string(v.dtype));
  check(v.dtype == affine.dtype && v.qparams == affine.qparams,
        "'{}' was quantized with other parameters than it is dequantized with", v.name);
}

}  // namespace

namespace build {

void quantize_linear(const OnnxNode& node) {
  const ValueId id = node.input(0);
  const Value& x = node.graph().value(id);
  check(x.dtype == DType::float32, "expected float32, '{}' is {}", x.name, to_string(x.dtype));
  DType fallback = DType::quint8;
  const std::int64_t wanted = node.integer("output_dtype", 0);
  if (wanted == onnx::TensorProto::INT8) fallback = DType::qint8;
  check(wanted == 0 || wanted == onnx::TensorProto::INT8 || wanted == onnx::TensorProto::UINT8,
        "output_dtype {} is not supported", wanted);
  if (x.is_constant()) {
    const Tensor reals = x.elements();
    const Affine affine = read_affine(node, 1, 2, node.integer("axis", 1), reals.sizes(), fallback);
    check(affine.dtype != DType::qint32, "constants are quantized to 8 bits; got int32");
    check_qparams(affine.qparams, reals.sizes(), affine.dtype, "quantization");
    const QParams& q = affine.qparams;
    const Tensor quantized = q.is_per_channel()
                                 ? quantize_per_channel(reals, q.scales, q.zero_points, q.axis, affine.dtype)
                                 : quantize_per_tensor(reals, q.scales[0], q.zero_points[0], affine.dtype);
    return node.result_is(node.graph().add_constant(node.output_name(), quantized.int_repr()));
  }
  const Affine affine = read_affine_per_tensor(node, 1, 2, fallback);
  const std::string name = x.name;
  const ValueId result = node.reader().emit({node.name(), graph::Quantize{}, {id}, kNoValue},
                                            node.output_name(), affine.dtype, affine.qparams);
  // Integers go by the name of the real numbers that they stand for, so that writing adds its suffix once.
  node.graph().value(result).name = name;
  node.result_is(result);
}

void dequantize_linear(const OnnxNode& node) {
  const ValueId id = node.input(0);
  const Value& x = node.graph().value(id);
  if (x.is_constant()) {
    const Tensor integers = x.elements();
    const Affine affine =
        read_affine(node, 1, 2, node.integer("axis", 1), integers.sizes(), dtype_of_integers(integers));
    return node.result_is(dequantized_constant(node, integers, affine, node.output_name()));
  }
  check_same(x, read_affine_per_tensor(node, 1, 2, x.dtype));
  node.result(graph::Dequantize{}, {id});
}

// Inputs: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias.
void qlinear_conv(const OnnxNode& node) {
  const ValueId x = node.input(0);
  check_same(node.graph().value(x), read_affine_per_tensor(node, 1, 2, DType::quint8));
  const Tensor integers = node.constant(3, "weight");
  Affine weight_affine = read_affine(node, 4, 5, 0, integers.sizes(), DType::quint8);
  const std::vector<double> weight_scales = weight_affine.qparams.scales;
  const ValueId weight = dequantized_constant(node, integers, weight_affine, node.name() + "/weight");
  graph::Conv conv = read_conv(node, integers.sizes(), false, node.graph().value(x).sizes);
  ValueId bias = kNoValue;
  if (node.has_input(8)) {
    const Tensor b = node.constant(8, "bias");
    check(b.dtype() == DType::int32 && b.numel() == conv.geometry.out_channels,
          "the bias must be {} int32 values, got {}", conv.geometry.out_channels, b.to_string());
    const float input_scale = static_cast<float>(node.graph().value(x).qparams->scales[0]);
    const std::vector<std::int32_t> values = b.to_vector<std::int32_t>();
    std::vector<float> reals(values.size());
    for (std::size_t i = 0; i < reals.size(); ++i) {
      const float step = input_scale * static_cast<float>(weight_scales[weight_scales.size() == 1 ? 0 : i]);
      reals[i] = static_cast<float>(values[i]) * step;
    }
    bias = node.graph().add_constant(node.name() + "/bias", Tensor::from_data(reals, {b.numel()}));
  }
  const Affine output = read_affine_per_tensor(node, 6, 7, DType::quint8);
  const ValueId real_x = node.step(graph::Dequantize{}, {x}, "x");
  const ValueId real_y =
      node.reader().emit({node.name(), std::move(conv), {real_x, weight, bias, kNoValue}, kNoValue},
                         node.output_name() + "/real");
  node.result_is(node.step(graph::Quantize{}, {real_y}, "y", output.dtype, output.qparams));
}

}  // namespace build
}  // namespace qconv::io
