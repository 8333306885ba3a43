#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/ir.hpp"
#include "io/onnx_proto.hpp"

namespace qconv::io {

/// A model under construction: names, constants, and the operators that stand for one node.
class OnnxWriter {
 public:
  explicit OnnxWriter(const graph::Graph& graph);
  /// The whole model.
  onnx::ModelProto write();

 private:
  using Names = std::vector<std::string>;

  std::string unique(const std::string& wanted);
  /// Adds an operator with one result, which gets `result` as its name, or a name made from it when taken.
  onnx::NodeProto& add(std::string_view op, const std::string& name, const Names& inputs,
                       const std::string& result);
  std::string add_step(std::string_view op, const std::string& name, const Names& inputs,
                       const std::string& result);
  std::string constant(const Tensor& tensor, const std::string& name);

  /// The name under which the value's own elements (integers, if quantized) are known.
  std::string stored(graph::ValueId id);
  /// The name of the value as real numbers; dequantizes it, once, where it is quantized.
  std::string real(graph::ValueId id);
  std::string dequantize(graph::ValueId id, const std::string& node_name, const std::string& result);
  /// Scale and zero point.
  Names params_of(const QParams& qparams, DType dtype, const std::string& name);
  /// The weight as real numbers, from its integers where it has them.
  std::string weight(graph::ValueId id);
  /// The weight of a Linear as MatMul takes it, (in, out).
  std::string turned_weight(graph::ValueId id);
  /// Integers dequantized under `name`.
  std::string dequantized(const Tensor& integers, const std::string& name);

  void write_node(const graph::Node& node);
  std::string limited(const graph::Node& node, const graph::Range& range, const std::string& x,
                      const std::string& result);

  struct WriteOp;
  void declare(graph::ValueId id, onnx::ValueInfoProto* info);
  /// From opset 18 on, the axes of ReduceMean are an input; what the opset is, is known at the end.
  void make_axes_inputs();
  void need_opset(int opset) { opset_ = std::max(opset_, opset); }

  const graph::Graph& graph_;
  onnx::ModelProto model_;
  onnx::GraphProto* proto_;
  int opset_ = 13;
  std::unordered_set<std::string> taken_;
  std::unordered_map<graph::ValueId, std::string> stored_;
  std::unordered_map<graph::ValueId, std::string> real_;
  /// Of quantized values: what the names of their parts begin with.
  std::unordered_map<graph::ValueId, std::string> base_;
};

}  // namespace qconv::io
