// Builders of constants and of arithmetic on sizes.
#include <cmath>

#include "io/onnx_reader.hpp"
#include "io/onnx_tensor.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::ValueId;

namespace {

// Axes are an attribute up to opset 12 and an input from then on.
std::vector<std::int64_t> axes_of(const OnnxNode& node) {
  return node.has_input(1) ? node.constant_integers(1, "axes") : node.integers("axes");
}

// The constant as one float for each of `channels` channels of an (N, C, ...) tensor of `rank` dimensions, or
// nothing when it varies along other dimensions.
std::vector<float> per_channel(const Tensor& constant, int rank, std::int64_t channels) {
  if (constant.dtype() != DType::float32 || constant.dim() > rank || channels < 1) return {};
  for (int d = 0; d < constant.dim(); ++d) {
    const bool channel_axis = d + rank - constant.dim() == 1;
    if (constant.size(d) != 1 && !(channel_axis && constant.size(d) == channels)) return {};
  }
  std::vector<float> values = constant.to_vector<float>();
  if (values.size() == 1) values.resize(static_cast<std::size_t>(channels), values[0]);
  return values;
}

// An activation minus, times or divided by a constant per channel, as models normalize their input: a batch
// normalization of mean 0 and variance 1. False when it is not that.
bool scale_channels(const OnnxNode& node, graph::Arithmetic kind) {
  const graph::Value& first = node.graph().value(node.input(0));
  const graph::Value& second = node.graph().value(node.input(1));
  const bool activation_first = !first.early;
  const graph::Value& x = activation_first ? first : second;
  const graph::Value& c = activation_first ? second : first;
  if (x.early || !c.is_constant() || x.dtype != DType::float32 || !x.sizes || x.sizes->rank() < 2)
    return false;
  if (!activation_first && kind == graph::Arithmetic::div) return false;
  const std::vector<float> values = per_channel(c.constant, x.sizes->rank(), (*x.sizes)[1]);
  if (values.empty()) return false;
  std::vector<float> scale(values.size(), activation_first ? 1.0F : -1.0F);
  std::vector<float> shift(values.size(), 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (kind == graph::Arithmetic::mul) scale[i] = values[i];
    if (kind == graph::Arithmetic::div) scale[i] = 1.0F / values[i];
    if (kind == graph::Arithmetic::sub) shift[i] = activation_first ? -values[i] : values[i];
    check(std::isfinite(scale[i]) && std::isfinite(shift[i]), "a constant of {} is not possible", values[i]);
  }
  const ValueId id = node.input(activation_first ? 0 : 1);
  const auto constant = [&](std::string_view what, const std::vector<float>& v) {
    return node.graph().add_constant(fmt::format("{}/{}", node.name(), what),
                                     Tensor::from_data(v, {static_cast<std::int64_t>(v.size())}));
  };
  const std::vector<float> zeros(values.size(), 0.0F);
  const std::vector<float> ones(values.size(), 1.0F);
  node.result(graph::BatchNorm{0}, {id, constant("scale", scale), constant("shift", shift),
                                    constant("mean", zeros), constant("variance", ones)});
  return true;
}

}  // namespace

namespace build {

void constant(const OnnxNode& node) {
  Tensor value;
  if (node.has("value")) {
    value = node.tensor("value");
  } else if (node.has("value_float")) {
    value = Tensor::scalar(node.real("value_float", 0));
  } else if (const auto* integer = node.find("value_int")) {
    value = Tensor::scalar(std::int64_t{integer->i()});
  } else if (const auto* floats = node.find("value_floats")) {
    const std::vector<float> values(floats->floats().begin(), floats->floats().end());
    value = Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
  } else if (const auto* ints = node.find("value_ints")) {
    const std::vector<std::int64_t> values(ints->ints().begin(), ints->ints().end());
    value = Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
  } else {
    throw FileError("the constant has no value of a supported kind");
  }
  node.result_is(node.graph().add_constant(node.output_name(), value));
}

void constant_of_shape(const OnnxNode& node) {
  const Tensor value = node.has("value") ? node.tensor("value") : Tensor::scalar(0.0F);
  check(value.numel() == 1, "the value must be one element, got {}", value.to_string());
  node.result(graph::ConstantOfShape{value.reshape({})}, {node.input(0)});
}

void cast(const OnnxNode& node) {
  const std::int64_t to = node.integer("to", 0);
  const bool floating = to == onnx::TensorProto::FLOAT || to == onnx::TensorProto::DOUBLE;
  const bool integral = to == onnx::TensorProto::INT64 || to == onnx::TensorProto::INT32;
  check(floating || integral, "a cast to ONNX element type {} is not supported", to);
  const DType target = floating                         ? DType::float32
                       : to == onnx::TensorProto::INT64 ? DType::int64
                                                        : DType::int32;
  const ValueId x = node.input(0);
  if (node.graph().value(x).dtype == target) return node.result_is(x);
  node.result(graph::Cast{target}, {x});
}

void shape(const OnnxNode& node) {
  node.result(graph::ShapeOf{static_cast<int>(node.integer("start", 0)),
                             static_cast<int>(node.integer("end", std::numeric_limits<std::int32_t>::max()))},
              {node.input(0)});
}

void gather(const OnnxNode& node) {
  node.result(graph::Gather{static_cast<int>(node.integer("axis", 0))}, {node.input(0), node.input(1)});
}

void slice(const OnnxNode& node) {
  node.result(graph::Slice{},
              {node.input(0), node.input(1), node.input(2), node.optional_input(3), node.optional_input(4)});
}

void squeeze(const OnnxNode& node) { node.result(graph::Squeeze{axes_of(node)}, {node.input(0)}); }
void unsqueeze(const OnnxNode& node) { node.result(graph::Unsqueeze{axes_of(node)}, {node.input(0)}); }

void size_arithmetic(const OnnxNode& node) {
  using graph::Arithmetic;
  const std::string& op = node.op();
  const Arithmetic kind = op == "Sub"     ? Arithmetic::sub
                          : op == "Mul"   ? Arithmetic::mul
                          : op == "Div"   ? Arithmetic::div
                          : op == "Floor" ? Arithmetic::floor
                                          : Arithmetic::ceil;
  std::vector<ValueId> inputs{node.input(0)};
  if (kind != Arithmetic::floor && kind != Arithmetic::ceil) {
    if (scale_channels(node, kind)) return;
    inputs.push_back(node.input(1));
  }
  node.result(graph::SizeArithmetic{kind}, std::move(inputs));
}

}  // namespace build
}  // namespace qconv::io
