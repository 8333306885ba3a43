// Names, constants and quantization parameters of a model that is written.
#include "io/onnx_writer.hpp"

#include <qconv/version.hpp>

#include "io/onnx_tensor.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::Value;
using graph::ValueId;

OnnxWriter::OnnxWriter(const graph::Graph& graph) : graph_(graph), proto_(model_.mutable_graph()) {
  proto_->set_name(graph.name);
  // The border keeps its names: nothing else may take them.
  for (const ValueId id : graph.inputs) stored_[id] = unique(graph.value(id).name);
  for (const ValueId id : graph.outputs) {
    if (!stored_.contains(id)) stored_[id] = unique(graph.value(id).name);
  }
}

std::string OnnxWriter::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; name.empty() || !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

onnx::NodeProto& OnnxWriter::add(std::string_view op, const std::string& name, const Names& inputs,
                                 const std::string& result) {
  onnx::NodeProto* node = proto_->add_node();
  node->set_op_type(std::string(op));
  node->set_name(name);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(result);
  return *node;
}

std::string OnnxWriter::add_step(std::string_view op, const std::string& name, const Names& inputs,
                                 const std::string& result) {
  std::string made = unique(result);
  add(op, name, inputs, made);
  return made;
}

std::string OnnxWriter::constant(const Tensor& tensor, const std::string& name) {
  std::string made = unique(name);
  *proto_->add_initializer() = tensor_to_onnx(tensor, made);
  return made;
}

OnnxWriter::Names OnnxWriter::params_of(const QParams& qparams, DType dtype, const std::string& name) {
  const auto count = static_cast<std::int64_t>(qparams.scales.size());
  const Shape sizes = qparams.is_per_channel() ? Shape{count} : Shape{};
  Tensor scales = Tensor::empty(sizes, DType::float32);
  Tensor zero_points = Tensor::empty(sizes, info(dtype).storage);
  for (std::size_t i = 0; i < qparams.scales.size(); ++i) {
    scales.mutable_data<float>()[i] = static_cast<float>(qparams.scales[i]);
    const std::int64_t z = qparams.zero_points[i];
    if (dtype == DType::quint8) {
      zero_points.mutable_data<std::uint8_t>()[i] = static_cast<std::uint8_t>(z);
    } else {
      zero_points.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(z);
    }
  }
  return {constant(scales, name + "_scale"), constant(zero_points, name + "_zero_point")};
}

std::string OnnxWriter::stored(ValueId id) {
  const auto found = stored_.find(id);
  if (found != stored_.end() && !graph_.value(id).is_constant()) return found->second;
  const Value& v = graph_.value(id);
  check<FileError>(v.is_constant(), "'{}' is read before it is made", v.name);
  if (found == stored_.end()) return stored_[id] = constant(v.elements(), v.name);
  // A constant that is an output of the network.
  if (std::none_of(proto_->initializer().begin(), proto_->initializer().end(),
                   [&](const onnx::TensorProto& t) { return t.name() == found->second; })) {
    *proto_->add_initializer() = tensor_to_onnx(v.elements(), found->second);
  }
  return found->second;
}

std::string OnnxWriter::dequantize(ValueId id, const std::string& node_name, const std::string& result) {
  const Value& v = graph_.value(id);
  Names inputs = params_of(*v.qparams, v.dtype, base_.at(id));
  inputs.insert(inputs.begin(), stored(id));
  add("DequantizeLinear", node_name, inputs, result);
  return result;
}

std::string OnnxWriter::real(ValueId id) {
  const Value& v = graph_.value(id);
  if (!is_quantized(v.dtype)) return stored(id);
  const auto found = real_.find(id);
  if (found != real_.end()) return found->second;
  const std::string result = unique(base_.at(id) + "_dequantized");
  return real_[id] = dequantize(id, result, result);
}

std::string OnnxWriter::weight(ValueId id) {
  const Value& v = graph_.value(id);
  if (!v.constant.is_quantized()) return stored(id);
  const auto found = real_.find(id);
  if (found != real_.end()) return found->second;
  return real_[id] = dequantized(v.constant, v.name);
}

std::string OnnxWriter::turned_weight(ValueId id) {
  const Value& v = graph_.value(id);
  const Tensor turned = v.constant.transpose(0, 1).contiguous();
  return turned.is_quantized() ? dequantized(turned, v.name) : constant(turned, v.name);
}

std::string OnnxWriter::dequantized(const Tensor& integers, const std::string& name) {
  Names inputs = params_of(integers.qparams(), integers.dtype(), name);
  inputs.insert(inputs.begin(), constant(integers.int_repr(), name + "_quantized"));
  std::string result = unique(name);
  onnx::NodeProto& node = add("DequantizeLinear", result, inputs, result);
  if (integers.qparams().is_per_channel()) {
    onnx::AttributeProto* axis = node.add_attribute();
    axis->set_name("axis");
    axis->set_type(onnx::AttributeProto::INT);
    axis->set_i(integers.qparams().axis);
  }
  return result;
}

void OnnxWriter::declare(ValueId id, onnx::ValueInfoProto* info) {
  const Value& v = graph_.value(id);
  info->set_name(stored_.at(id));
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(v.dtype == DType::int64   ? onnx::TensorProto::INT64
                        : v.dtype == DType::int32 ? onnx::TensorProto::INT32
                                                  : onnx::TensorProto::FLOAT);
  if (!v.sizes) return;
  onnx::TensorShapeProto* shape = tensor->mutable_shape();
  for (int d = 0; d < v.sizes->rank(); ++d) {
    auto* dim = shape->add_dim();
    if ((*v.sizes)[d] >= 0) {
      dim->set_dim_value((*v.sizes)[d]);
    } else {
      dim->set_dim_param(fmt::format("{}_{}", v.name, d));
    }
  }
}

void OnnxWriter::make_axes_inputs() {
  for (onnx::NodeProto& node : *proto_->mutable_node()) {
    if (node.op_type() != "ReduceMean") continue;
    auto* attributes = node.mutable_attribute();
    for (int i = 0; i < attributes->size(); ++i) {
      if (attributes->at(i).name() != "axes") continue;
      const auto& ints = attributes->at(i).ints();
      const std::vector<std::int64_t> axes(ints.begin(), ints.end());
      node.add_input(
          constant(Tensor::from_data(axes, {static_cast<std::int64_t>(axes.size())}), node.name() + "_axes"));
      attributes->DeleteSubrange(i, 1);
      break;
    }
  }
}

onnx::ModelProto OnnxWriter::write() {
  for (const graph::Node& node : graph_.nodes) write_node(node);
  if (opset_ >= 18) make_axes_inputs();
  for (const ValueId id : graph_.inputs) declare(id, proto_->add_input());
  for (const ValueId id : graph_.outputs) {
    stored(id);
    declare(id, proto_->add_output());
  }
  model_.set_ir_version(opset_ >= 19 ? 9 : opset_ >= 15 ? 8 : 7);
  model_.set_producer_name("qconv");
  model_.set_producer_version(std::string(version()));
  onnx::OperatorSetIdProto* id = model_.add_opset_import();
  id->set_domain("");
  id->set_version(opset_);
  return std::move(model_);
}

}  // namespace qconv::io
