// What builders of single operators work with: names in scope, typed attributes and inputs.
#include "io/onnx_reader.hpp"

#include <limits>

#include "io/onnx_tensor.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::Value;
using graph::ValueId;

namespace {

// Operators that only make sense where everything is known before the network runs.
bool only_for_sizes(const Op& op) {
  return std::holds_alternative<graph::Cast>(op) || std::holds_alternative<graph::ConstantOfShape>(op);
}

// Operators of real numbers.
bool only_for_reals(const Op& op) {
  return std::holds_alternative<graph::UnaryOp>(op) || std::holds_alternative<graph::Binary>(op) ||
         std::holds_alternative<graph::LayerNorm>(op) || std::holds_alternative<graph::InstanceNorm>(op) ||
         std::holds_alternative<graph::Mean>(op) || std::holds_alternative<graph::BatchNorm>(op) ||
         std::holds_alternative<graph::Softmax>(op);
}

}  // namespace

void OnnxReader::bind(const std::string& name, ValueId id) {
  check<FileError>(!name.empty(), "a result without a name");
  check<FileError>(names_.emplace(name, id).second, "two things are called '{}'", name);
}

ValueId OnnxReader::find(const std::string& name) const {
  const auto found = names_.find(name);
  check<FileError>(found != names_.end(),
                   "there is no '{}': no input, initializer or earlier result has that name", name);
  return found->second;
}

std::optional<std::int64_t> OnnxReader::size_from_shape(ValueId shape, std::int64_t index) const {
  const auto found = shapes_of_.find(shape);
  if (found == shapes_of_.end()) return std::nullopt;
  const std::optional<Shape>& sizes = graph_.value(found->second).sizes;
  if (!sizes) return std::nullopt;
  const std::int64_t d = index < 0 ? index + sizes->rank() : index;
  if (d < 0 || d >= sizes->rank() || (*sizes)[static_cast<int>(d)] < 0) return std::nullopt;
  return (*sizes)[static_cast<int>(d)];
}

std::string OnnxReader::unique_node_name(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !node_names_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

ValueId OnnxReader::emit(Node node, const std::string& result_name, DType dtype,
                         const std::optional<QParams>& qparams) {
  const std::vector<graph::Fact> facts = facts_of(graph_, node);
  const graph::Fact result = infer(node, facts);
  bool early = true;
  bool integers = false;
  for (const ValueId v : node.inputs) {
    if (v == graph::kNoValue) continue;
    early = early && graph_.value(v).early;
    integers = integers || is_quantized(graph_.value(v).dtype);
  }
  early = early || std::holds_alternative<graph::ShapeOf>(node.op);
  check<FileError>(early || !only_for_sizes(node.op),
                   "{} is supported on sizes and constants only, not on what the network computes",
                   op_name(node.op));
  const bool arithmetic_on_sizes = early && std::holds_alternative<graph::Binary>(node.op);
  check<FileError>(
      !only_for_reals(node.op) || arithmetic_on_sizes || (result.dtype == DType::float32 && !integers),
      "{} computes with float32, got {}", op_name(node.op), to_string(result.dtype));
  if (early) {
    const Tensor known = evaluate(node, facts, budget_);
    if (known.defined()) return graph_.add_constant(result_name, known);
  }
  Value v;
  v.name = result_name;
  v.sizes = result.sizes;
  v.early = early;
  v.dtype = result.dtype;
  if (qparams) {
    v.dtype = dtype;
    v.qparams = qparams;
  } else if (integers && !std::holds_alternative<graph::Dequantize>(node.op)) {
    const Value& first = graph_.value(node.inputs[0]);
    for (const ValueId other : node.inputs) {
      if (other == graph::kNoValue || graph_.value(other).early) continue;
      check<FileError>(
          graph_.value(other).qparams == first.qparams,
          "the inputs are quantized with different parameters; put DequantizeLinear before the node");
    }
    v.qparams = first.qparams;
  }
  node.output = graph_.add_value(std::move(v));
  if (const auto* shape = std::get_if<graph::ShapeOf>(&node.op); shape != nullptr && shape->start == 0)
    shapes_of_[node.output] = node.inputs[0];
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().output;
}

const onnx::AttributeProto* OnnxNode::find(std::string_view attribute) const {
  for (const onnx::AttributeProto& a : proto_.attribute()) {
    if (a.name() == attribute) return &a;
  }
  return nullptr;
}

namespace {

const onnx::AttributeProto& typed(const onnx::AttributeProto& a, onnx::AttributeProto::AttributeType type,
                                  std::string_view what) {
  check<FileError>(a.type() == type, "attribute '{}' is not {}", a.name(), what);
  return a;
}

void check_small(std::int64_t v, std::string_view what) {
  check<FileError>(
      v >= std::numeric_limits<std::int32_t>::min() && v <= std::numeric_limits<std::int32_t>::max(),
      "{} of {} is out of range", what, v);
}

}  // namespace

std::int64_t OnnxNode::integer(std::string_view attribute, std::int64_t fallback) const {
  const auto* a = find(attribute);
  if (a == nullptr) return fallback;
  const std::int64_t v = typed(*a, onnx::AttributeProto::INT, "an integer").i();
  check_small(v, attribute);
  return v;
}

float OnnxNode::real(std::string_view attribute, float fallback) const {
  const auto* a = find(attribute);
  return a == nullptr ? fallback : typed(*a, onnx::AttributeProto::FLOAT, "a float").f();
}

std::string OnnxNode::text(std::string_view attribute, std::string_view fallback) const {
  const auto* a = find(attribute);
  return a == nullptr ? std::string(fallback) : typed(*a, onnx::AttributeProto::STRING, "a string").s();
}

std::vector<std::int64_t> OnnxNode::integers(std::string_view attribute) const {
  const auto* a = find(attribute);
  if (a == nullptr) return {};
  const auto& ints = typed(*a, onnx::AttributeProto::INTS, "a list of integers").ints();
  check<FileError>(ints.size() <= 64, "attribute '{}' has {} values", attribute, ints.size());
  for (const std::int64_t v : ints) check_small(v, attribute);
  return {ints.begin(), ints.end()};
}

Tensor OnnxNode::tensor(std::string_view attribute) const {
  const auto* a = find(attribute);
  check<FileError>(a != nullptr, "attribute '{}' is missing", attribute);
  onnx::TensorProto proto = typed(*a, onnx::AttributeProto::TENSOR, "a tensor").t();
  return tensor_from_onnx(proto, reader_.folder());
}

ValueId OnnxNode::input(int i) const {
  check<FileError>(has_input(i), "input {} is missing", i);
  return reader_.find(proto_.input(i));
}

std::vector<ValueId> OnnxNode::all_inputs() const {
  std::vector<ValueId> ids;
  for (int i = 0; i < proto_.input_size(); ++i) ids.push_back(input(i));
  return ids;
}

const Value& OnnxNode::constant_value(int i, std::string_view what) const {
  const Value& v = graph().value(input(i));
  check<FileError>(v.is_constant(), "the {} must be a constant; '{}' is computed when the network runs", what,
                   v.name);
  return v;
}

std::vector<std::int64_t> OnnxNode::constant_integers(int i, std::string_view what) const {
  const Tensor t = constant(i, what);
  check<FileError>(t.dtype() == DType::int64 && t.numel() <= 64, "the {} must be a few int64 values, got {}",
                   what, t.to_string());
  std::vector<std::int64_t> values = t.to_vector<std::int64_t>();
  for (const std::int64_t v : values) check_small(v, what);
  return values;
}

std::vector<float> OnnxNode::constant_reals(int i, std::string_view what) const {
  const Tensor t = constant(i, what);
  check<FileError>(t.dtype() == DType::float32, "the {} must be float32, got {}", what, t.to_string());
  return t.to_vector<float>();
}

const std::string& OnnxNode::output_name() const {
  check<FileError>(proto_.output_size() >= 1, "the node has no output");
  return proto_.output(0);
}

ValueId OnnxNode::result(Op op, std::vector<ValueId> inputs) const {
  const ValueId id = reader_.emit({name_, std::move(op), std::move(inputs), graph::kNoValue}, output_name());
  reader_.bind(output_name(), id);
  return id;
}

ValueId OnnxNode::result(int output, Op op, std::vector<ValueId> inputs) const {
  const std::string& result_name = proto_.output(output);
  const ValueId id = reader_.emit({reader_.unique_node_name(fmt::format("{}/{}", name_, output)),
                                   std::move(op), std::move(inputs), graph::kNoValue},
                                  result_name);
  reader_.bind(result_name, id);
  return id;
}

void OnnxNode::result_is(ValueId id) const { reader_.bind(output_name(), id); }

ValueId OnnxNode::step(Op op, std::vector<ValueId> inputs, std::string_view suffix, DType dtype,
                       const std::optional<QParams>& qparams) const {
  const std::string step_name = fmt::format("{}/{}", name_, suffix);
  return reader_.emit(
      {reader_.unique_node_name(step_name), std::move(op), std::move(inputs), graph::kNoValue},
      fmt::format("{}/{}", output_name(), suffix), dtype, qparams);
}

}  // namespace qconv::io
