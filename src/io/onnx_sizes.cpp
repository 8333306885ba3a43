// Builders of constants and of arithmetic on sizes.
#include <algorithm>
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
  const graph::Value& index = node.graph().value(node.input(1));
  if (index.is_constant() && index.dtype == DType::int64 && index.constant.numel() == 1 &&
      index.constant.dim() <= 1) {
    const std::int64_t wanted = index.constant.to_vector<std::int64_t>()[0];
    if (const auto size = node.reader().size_from_shape(node.input(0), wanted)) {
      return node.result_is(node.graph().add_constant(node.output_name(),
                                                      Tensor::scalar(*size).reshape(index.constant.sizes())));
    }
  }
  const bool activation = !node.graph().value(node.input(0)).early;
  check(!activation || (index.is_constant() && index.constant.dim() <= 1),
        "the indices must be a constant of at most one dimension, where what is gathered is computed");
  node.result(graph::Gather{static_cast<int>(node.integer("axis", 0))}, {node.input(0), node.input(1)});
}

void expand(const OnnxNode& node) { node.result(graph::Expand{}, {node.input(0), node.input(1)}); }

// A Slice for each result.
void split(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const std::optional<Shape> sizes = node.graph().value(x).sizes;
  check(sizes.has_value(), "the rank of the input is not known");
  const std::int64_t given = node.integer("axis", 0);
  const std::int64_t axis = given < 0 ? given + sizes->rank() : given;
  check(axis >= 0 && axis < sizes->rank(), "axis {} is out of range for sizes {}", given, sizes->to_string());
  const int parts = node.output_count();
  check(parts > 0, "the node has no outputs");
  std::vector<std::int64_t> lengths =
      node.has_input(1) ? node.constant_integers(1, "split") : node.integers("split");
  const std::int64_t size = (*sizes)[static_cast<int>(axis)];
  if (lengths.empty()) {
    check(size >= 0, "the size of dimension {} must be known to split it into equal parts", axis);
    const std::int64_t each = (size + parts - 1) / parts;
    for (int i = 0; i < parts; ++i) lengths.push_back(std::clamp<std::int64_t>(size - each * i, 0, each));
  }
  check(lengths.size() == static_cast<std::size_t>(parts), "{} parts for {} results", lengths.size(), parts);
  std::int64_t start = 0;
  const auto vector = [&](std::int64_t v, std::string_view what) {
    return node.graph().add_constant(fmt::format("{}/{}", node.name(), what),
                                     Tensor::from_data(std::vector{v}, {1}));
  };
  for (int i = 0; i < parts; ++i) {
    const std::int64_t length = lengths[static_cast<std::size_t>(i)];
    check(length >= 0 && (size < 0 || start + length <= size), "parts that do not fit a size of {}", size);
    node.result(
        i, graph::Slice{},
        {x, vector(start, "start"), vector(start + length, "end"), vector(axis, "axis"), graph::kNoValue});
    start += length;
  }
  check(size < 0 || start == size, "the parts make {} of {}", start, size);
}

void slice(const OnnxNode& node) {
  node.result(graph::Slice{},
              {node.input(0), node.input(1), node.input(2), node.optional_input(3), node.optional_input(4)});
}

void squeeze(const OnnxNode& node) { node.result(graph::Squeeze{axes_of(node)}, {node.input(0)}); }
void unsqueeze(const OnnxNode& node) { node.result(graph::Unsqueeze{axes_of(node)}, {node.input(0)}); }

}  // namespace build
}  // namespace qconv::io
