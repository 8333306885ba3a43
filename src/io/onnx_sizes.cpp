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
  if (kind != Arithmetic::floor && kind != Arithmetic::ceil) inputs.push_back(node.input(1));
  node.result(graph::SizeArithmetic{kind}, std::move(inputs));
}

}  // namespace build
}  // namespace qconv::io
