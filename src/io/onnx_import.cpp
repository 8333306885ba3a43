// An ONNX model becomes a graph::Graph: the file, its names and the order of its nodes.
#include <algorithm>
#include <fstream>
#include <map>

#include <fmt/ranges.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/stubs/logging.h>

#include "io/onnx.hpp"
#include "io/onnx_reader.hpp"
#include "io/onnx_tensor.hpp"
#include "support/check.hpp"

namespace qconv::io {
namespace {

using graph::ValueId;

constexpr int kOldestOpset = 11;
constexpr int kNewestOpset = 21;
// Bytes of constants that folding may make beyond what the file holds.
constexpr std::size_t kFoldingAllowance = std::size_t{16} << 20;

const std::map<std::string, OnnxBuilder, std::less<>>& builders() {
  static const std::map<std::string, OnnxBuilder, std::less<>> table{
      {"Abs", build::unary},
      {"Add", build::add},
      {"AveragePool", build::average_pool},
      {"BatchNormalization", build::batch_normalization},
      {"Cast", build::cast},
      {"Ceil", build::unary},
      {"Clip", build::clip},
      {"Concat", build::concat},
      {"Constant", build::constant},
      {"ConstantOfShape", build::constant_of_shape},
      {"Conv", build::conv},
      {"ConvTranspose", build::conv_transpose},
      {"DequantizeLinear", build::dequantize_linear},
      {"Div", build::binary},
      {"Dropout", build::identity},
      {"Elu", build::unary},
      {"Erf", build::unary},
      {"Exp", build::unary},
      {"Expand", build::expand},
      {"Flatten", build::flatten},
      {"Floor", build::unary},
      {"Gather", build::gather},
      {"Gelu", build::unary},
      {"Gemm", build::gemm},
      {"GlobalAveragePool", build::global_average_pool},
      {"GroupNormalization", build::group_normalization},
      {"HardSigmoid", build::unary},
      {"HardSwish", build::unary},
      {"Identity", build::identity},
      {"InstanceNormalization", build::instance_normalization},
      {"LayerNormalization", build::layer_normalization},
      {"LeakyRelu", build::unary},
      {"Log", build::unary},
      {"MatMul", build::matmul},
      {"Max", build::binary},
      {"MaxPool", build::max_pool},
      {"Min", build::binary},
      {"Mish", build::unary},
      {"Mul", build::binary},
      {"Neg", build::unary},
      {"PRelu", build::prelu},
      {"Pad", build::pad},
      {"Pow", build::binary},
      {"QLinearConv", build::qlinear_conv},
      {"QuantizeLinear", build::quantize_linear},
      {"Reciprocal", build::unary},
      {"ReduceMean", build::reduce_mean},
      {"Relu", build::relu},
      {"Reshape", build::reshape},
      {"Resize", build::resize},
      {"Shape", build::shape},
      {"Sigmoid", build::unary},
      {"Slice", build::slice},
      {"Softmax", build::softmax},
      {"Softplus", build::unary},
      {"Split", build::split},
      {"Sqrt", build::unary},
      {"Squeeze", build::squeeze},
      {"Sub", build::binary},
      {"Tanh", build::unary},
      {"Transpose", build::transpose},
      {"Unsqueeze", build::unsqueeze},
  };
  return table;
}

int opset_of(const onnx::ModelProto& model) {
  for (const onnx::OperatorSetIdProto& id : model.opset_import()) {
    if (!id.domain().empty() && id.domain() != "ai.onnx") continue;
    check<FileError>(id.version() >= kOldestOpset && id.version() <= kNewestOpset,
                     "opset {} is not supported; export the model with an opset from {} to {}", id.version(),
                     kOldestOpset, kNewestOpset);
    return static_cast<int>(id.version());
  }
  throw FileError("the model names no opset of the ai.onnx domain");
}

std::string describe(const onnx::NodeProto& node, int index) {
  if (!node.name().empty()) return fmt::format("node '{}' ({})", node.name(), node.op_type());
  return fmt::format("node {} ({})", index, node.op_type());
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// What texts from the file may hold, control characters above all, must not reach a message as it is.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), is_control, '?');
  return text;
}

void check_name(const std::string& name) {
  check<FileError>(std::none_of(name.begin(), name.end(), is_control),
                   "the name '{}' holds a control character; give it a name that can be printed", name);
}

// The names that stay in the graph, where messages, summaries and written files will show them.
void check_names(const onnx::GraphProto& proto) {
  check_name(proto.name());
  for (const onnx::TensorProto& tensor : proto.initializer()) check_name(tensor.name());
  for (const onnx::ValueInfoProto& info : proto.input()) check_name(info.name());
  for (const onnx::ValueInfoProto& info : proto.output()) check_name(info.name());
  for (const onnx::NodeProto& node : proto.node()) {
    check_name(node.name());
    for (const std::string& result : node.output()) check_name(result);
  }
}

// All of them, before any is built.
void check_operators(const onnx::GraphProto& proto) {
  for (int i = 0; i < proto.node_size(); ++i) {
    const onnx::NodeProto& node = proto.node(i);
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    check<FileError>(standard && find_onnx_builder(node.op_type()) != nullptr,
                     "{}{}: this operator is not supported; supported are {}", describe(node, i),
                     standard ? "" : fmt::format(" of the domain '{}'", node.domain()),
                     fmt::join(supported_onnx_operators(), ", "));
  }
}

// An order of the nodes that respects what they read. The standard asks for one already; not all files obey.
std::vector<std::size_t> node_order(const onnx::GraphProto& proto) {
  std::unordered_map<std::string, std::size_t> makers;
  for (int i = 0; i < proto.node_size(); ++i) {
    for (const std::string& name : proto.node(i).output()) {
      if (name.empty()) continue;
      check<FileError>(makers.emplace(name, static_cast<std::size_t>(i)).second,
                       "two nodes make the result '{}'", name);
    }
  }
  std::vector<std::vector<std::size_t>> needs(static_cast<std::size_t>(proto.node_size()));
  for (int i = 0; i < proto.node_size(); ++i) {
    for (const std::string& name : proto.node(i).input()) {
      const auto maker = makers.find(name);
      if (maker != makers.end()) needs[static_cast<std::size_t>(i)].push_back(maker->second);
    }
  }
  graph::Ordering ordering = graph::topological_order(needs);
  check<FileError>(ordering.on_cycle < 0, "the graph has a cycle through {}",
                   ordering.on_cycle < 0 ? "" : describe(proto.node(ordering.on_cycle), ordering.on_cycle));
  return std::move(ordering.order);
}

void add_initializers(OnnxReader& reader, onnx::GraphProto& proto) {
  check<FileError>(proto.sparse_initializer_size() == 0, "sparse initializers are not supported");
  for (onnx::TensorProto& tensor : *proto.mutable_initializer()) {
    reader.bind(tensor.name(),
                reader.graph().add_constant(tensor.name(), tensor_from_onnx(tensor, reader.folder())));
  }
}

std::optional<Shape> declared_sizes(const onnx::ValueInfoProto& info) {
  if (!info.type().tensor_type().has_shape()) return std::nullopt;
  const onnx::TensorShapeProto& shape = info.type().tensor_type().shape();
  check<FileError>(shape.dim_size() <= kMaxRank, "input '{}' has {} dimensions; at most {} are supported",
                   info.name(), shape.dim_size(), kMaxRank);
  Shape sizes;
  for (const auto& dim : shape.dim()) {
    const bool known = dim.has_dim_value() && dim.dim_value() >= 0;
    check<FileError>(!known || dim.dim_value() <= std::numeric_limits<std::int32_t>::max(),
                     "input '{}' has a size of {}", info.name(), dim.dim_value());
    sizes.push_back(known ? dim.dim_value() : graph::kDynamic);
  }
  return sizes;
}

void add_inputs(OnnxReader& reader, const onnx::GraphProto& proto) {
  std::unordered_set<std::string> initialized;
  for (const onnx::TensorProto& tensor : proto.initializer()) initialized.insert(tensor.name());
  for (const onnx::ValueInfoProto& info : proto.input()) {
    if (initialized.contains(info.name())) continue;  // its default value, which is what it always is here
    const int type = info.type().tensor_type().elem_type();
    check<FileError>(type == onnx::TensorProto::FLOAT,
                     "input '{}' has ONNX element type {}; inputs must be float32", info.name(), type);
    graph::Value v;
    v.name = info.name();
    v.sizes = declared_sizes(info);
    const ValueId id = reader.graph().add_value(std::move(v));
    reader.bind(info.name(), id);
    reader.graph().inputs.push_back(id);
  }
}

void add_nodes(OnnxReader& reader, const onnx::GraphProto& proto) {
  for (const std::size_t i : node_order(proto)) {
    const onnx::NodeProto& node = proto.node(static_cast<int>(i));
    try {
      const std::string wanted = node.name().empty() ? fmt::format("{}_{}", node.op_type(), i) : node.name();
      find_onnx_builder(node.op_type())(OnnxNode(node, reader, reader.unique_node_name(wanted)));
    } catch (const Error& error) {
      throw FileError(fmt::format("{}: {}", describe(node, static_cast<int>(i)), error.what()));
    }
  }
}

// Takes the weights out of the model.
graph::Graph read_model(onnx::ModelProto& model, const std::filesystem::path& folder, std::size_t file_size) {
  const int opset = opset_of(model);
  onnx::GraphProto& proto = *model.mutable_graph();
  check_names(proto);
  check_operators(proto);
  OnnxReader reader(opset, folder, kFoldingAllowance + file_size);
  if (!proto.name().empty()) reader.graph().name = proto.name();
  add_initializers(reader, proto);
  add_inputs(reader, proto);
  add_nodes(reader, proto);
  check<FileError>(proto.output_size() > 0, "the graph has no outputs");
  for (const onnx::ValueInfoProto& info : proto.output()) {
    const ValueId id = reader.find(info.name());
    check<FileError>(!is_quantized(reader.graph().value(id).dtype),
                     "output '{}' is quantized; outputs must be float32, so put DequantizeLinear before it",
                     info.name());
    reader.graph().outputs.push_back(id);
    reader.graph().value(id).name = info.name();
  }
  remove_dead_nodes(reader.graph());
  return std::move(reader.graph());
}

}  // namespace

OnnxBuilder find_onnx_builder(std::string_view op) {
  const auto found = builders().find(op);
  return found == builders().end() ? nullptr : found->second;
}

std::vector<std::string> supported_onnx_operators() {
  std::vector<std::string> names;
  for (const auto& [name, builder] : builders()) names.push_back(name);
  return names;
}

graph::Graph read_onnx(const std::filesystem::path& path) {
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  check<FileError>(regular, "{}: there is no such file", path.string());
  std::ifstream stream(path, std::ios::binary);
  check<FileError>(stream.good(), "{}: cannot be opened", path.string());
  const auto file_size = static_cast<std::size_t>(std::filesystem::file_size(path));
  google::protobuf::LogSilencer quiet;
  google::protobuf::io::IstreamInputStream input(&stream);
  onnx::ModelProto model;
  check<FileError>(model.ParseFromZeroCopyStream(&input), "{}: not an ONNX model, or damaged", path.string());
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  try {
    return read_model(model, folder, file_size);
  } catch (const Error& e) {
    throw FileError(fmt::format("{}: {}", path.string(), one_line(e.what())));
  }
}

graph::Graph read_onnx(std::span<const std::byte> bytes, std::string_view name) {
  google::protobuf::LogSilencer quiet;
  onnx::ModelProto model;
  check<FileError>(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
                       model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
                   "{}: not an ONNX model, or damaged", name);
  try {
    return read_model(model, {}, bytes.size());
  } catch (const Error& e) {
    throw FileError(fmt::format("{}: {}", name, one_line(e.what())));
  }
}

}  // namespace qconv::io
