#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/infer.hpp"
#include "io/onnx_proto.hpp"

namespace qconv::io {

/// The network under construction while a model is read, and the names in scope.
class OnnxReader {
 public:
  OnnxReader(int opset, std::filesystem::path folder, std::size_t budget)
      : opset_(opset), folder_(std::move(folder)), budget_(budget) {}

  graph::Graph& graph() noexcept { return graph_; }
  int opset() const noexcept { return opset_; }
  const std::filesystem::path& folder() const noexcept { return folder_; }

  /// Makes `name` stand for the value from here on; throws FileError when it already stands for one.
  void bind(const std::string& name, graph::ValueId id);
  /// The value of that name; throws FileError when there is none.
  graph::ValueId find(const std::string& name) const;
  /// Adds a node, or its result where that is known already, and returns the result. `qparams` is for
  /// Quantize and gives the result's `dtype` too; other nodes that keep integers keep the parameters of their
  /// first input.
  graph::ValueId emit(graph::Node node, const std::string& result_name, DType dtype = DType::float32,
                      const std::optional<QParams>& qparams = std::nullopt);
  /// Element `index` of `shape`, where that is the result of a Shape and this size of what it is the shape of
  /// is known although others are not.
  std::optional<std::int64_t> size_from_shape(graph::ValueId shape, std::int64_t index) const;
  /// `wanted`, or something like it that no node is called yet.
  std::string unique_node_name(const std::string& wanted);

 private:
  graph::Graph graph_;
  int opset_;
  std::filesystem::path folder_;
  std::size_t budget_;
  std::unordered_map<std::string, graph::ValueId> names_;
  std::unordered_map<graph::ValueId, graph::ValueId> shapes_of_;
  std::unordered_set<std::string> node_names_;
};

/// One node of the model, its attributes and inputs by type. Every method throws FileError when an attribute
/// or input has another type than asked for.
class OnnxNode {
 public:
  OnnxNode(const onnx::NodeProto& proto, OnnxReader& reader, std::string name)
      : proto_(proto), reader_(reader), name_(std::move(name)) {}

  OnnxReader& reader() const noexcept { return reader_; }
  graph::Graph& graph() const noexcept { return reader_.graph(); }
  int opset() const noexcept { return reader_.opset(); }
  const std::string& op() const noexcept { return proto_.op_type(); }
  const std::string& name() const noexcept { return name_; }

  bool has(std::string_view attribute) const { return find(attribute) != nullptr; }
  std::int64_t integer(std::string_view attribute, std::int64_t fallback) const;
  bool flag(std::string_view attribute, bool fallback) const {
    return integer(attribute, fallback ? 1 : 0) != 0;
  }
  float real(std::string_view attribute, float fallback) const;
  std::string text(std::string_view attribute, std::string_view fallback) const;
  /// At most 64 values, each within int32: what sizes, strides and axes are.
  std::vector<std::int64_t> integers(std::string_view attribute) const;
  Tensor tensor(std::string_view attribute) const;
  const onnx::AttributeProto* find(std::string_view attribute) const;

  bool has_input(int i) const { return i < proto_.input_size() && !proto_.input(i).empty(); }
  /// The value of input i; throws when it is absent.
  graph::ValueId input(int i) const;
  /// The same, kNoValue when absent.
  graph::ValueId optional_input(int i) const { return has_input(i) ? input(i) : graph::kNoValue; }
  std::vector<graph::ValueId> all_inputs() const;
  /// Input i, which must be known in advance; `what` names it in messages.
  const graph::Value& constant_value(int i, std::string_view what) const;
  /// Its elements.
  Tensor constant(int i, std::string_view what) const { return constant_value(i, what).elements(); }
  std::vector<std::int64_t> constant_integers(int i, std::string_view what) const;
  std::vector<float> constant_reals(int i, std::string_view what) const;

  /// The node's result is the result of `op` over these inputs.
  graph::ValueId result(graph::Op op, std::vector<graph::ValueId> inputs) const;
  /// The node's result is an existing value.
  void result_is(graph::ValueId id) const;
  /// One of several results.
  graph::ValueId result(int output, graph::Op op, std::vector<graph::ValueId> inputs) const;
  int output_count() const { return proto_.output_size(); }
  /// A step on the way to the result.
  graph::ValueId step(graph::Op op, std::vector<graph::ValueId> inputs, std::string_view suffix,
                      DType dtype = DType::float32,
                      const std::optional<QParams>& qparams = std::nullopt) const;
  const std::string& output_name() const;

 private:
  const onnx::NodeProto& proto_;
  OnnxReader& reader_;
  std::string name_;
};

/// Adds what the ONNX node means to the network.
using OnnxBuilder = void (*)(const OnnxNode&);
/// The builder of an operator, or null.
OnnxBuilder find_onnx_builder(std::string_view op);

// Builders by topic; find_onnx_builder has the table.
namespace build {
void conv(const OnnxNode&);
void conv_transpose(const OnnxNode&);
void gemm(const OnnxNode&);
void matmul(const OnnxNode&);
void batch_normalization(const OnnxNode&);
void max_pool(const OnnxNode&);
void average_pool(const OnnxNode&);
void global_average_pool(const OnnxNode&);
void reduce_mean(const OnnxNode&);
void quantize_linear(const OnnxNode&);
void dequantize_linear(const OnnxNode&);
void qlinear_conv(const OnnxNode&);
void relu(const OnnxNode&);
void clip(const OnnxNode&);
void add(const OnnxNode&);
void unary(const OnnxNode&);
void binary(const OnnxNode&);
void prelu(const OnnxNode&);
void layer_normalization(const OnnxNode&);
void instance_normalization(const OnnxNode&);
void group_normalization(const OnnxNode&);
void split(const OnnxNode&);
void expand(const OnnxNode&);
void softmax(const OnnxNode&);
void flatten(const OnnxNode&);
void reshape(const OnnxNode&);
void pad(const OnnxNode&);
void concat(const OnnxNode&);
void transpose(const OnnxNode&);
void resize(const OnnxNode&);
void constant(const OnnxNode&);
void constant_of_shape(const OnnxNode&);
void identity(const OnnxNode&);
void cast(const OnnxNode&);
void shape(const OnnxNode&);
void gather(const OnnxNode&);
void slice(const OnnxNode&);
void squeeze(const OnnxNode&);
void unsqueeze(const OnnxNode&);
}  // namespace build

/// A Conv between float values, from its attributes and a constant weight; QLinearConv uses it too.
graph::Conv read_conv(const OnnxNode& node, const Shape& weight_sizes, bool transposed,
                      const std::optional<Shape>& input);

}  // namespace qconv::io
