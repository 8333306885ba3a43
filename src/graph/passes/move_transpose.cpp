#include <unordered_map>
#include <unordered_set>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

// (0, 2, ..., rank - 1, 1): channels from dimension 1 to the end.
bool puts_channels_last(const std::vector<std::int64_t>& permutation) {
  const std::size_t rank = permutation.size();
  if (rank < 3 || permutation[0] != 0 || permutation[rank - 1] != 1) return false;
  for (std::size_t d = 1; d + 1 < rank; ++d) {
    if (permutation[d] != static_cast<std::int64_t>(d) + 1) return false;
  }
  return true;
}
// (0, rank - 1, 1, ..., rank - 2).
bool puts_channels_first(const std::vector<std::int64_t>& permutation) {
  const std::size_t rank = permutation.size();
  if (rank < 3 || permutation[0] != 0 || permutation[1] != static_cast<std::int64_t>(rank) - 1) return false;
  for (std::size_t d = 2; d < rank; ++d) {
    if (permutation[d] != static_cast<std::int64_t>(d) - 1) return false;
  }
  return true;
}

Shape channels_first(const Shape& sizes) {
  Shape result{sizes[0], sizes[sizes.rank() - 1]};
  for (int d = 1; d + 1 < sizes.rank(); ++d) result.push_back(sizes[d]);
  return result;
}

class Mover {
 public:
  explicit Mover(Graph& graph) : graph_(graph) {}

  int run() {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : nodes) move(std::move(node));
    remove_dead_nodes(graph_);
    return count_;
  }

 private:
  void move(Node node) {
    for (ValueId& v : node.inputs) v = current(v);
    const auto found = node.inputs.empty() ? first_.end() : first_.find(node.inputs[0]);
    if (const auto* transpose = std::get_if<Transpose>(&node.op)) {
      // With one spatial dimension both are the same permutation.
      if (found != first_.end() && puts_channels_first(transpose->permutation)) {
        // Readers come later in the order; they read the value itself from here on. An output of the network
        // keeps its name, and with it this node.
        replaced_[node.output] = found->second;
        // What was made here goes by the name that it has in the file.
        if (moved_.contains(found->second)) graph_.value(found->second).name = graph_.value(node.output).name;
        ++count_;
      } else if (puts_channels_last(transpose->permutation)) {
        first_[node.output] = node.inputs[0];
      }
    } else if (found != first_.end() && rewrite(node, found->second)) {
      return;
    }
    graph_.nodes.push_back(std::move(node));
  }

  ValueId current(ValueId v) const {
    const auto found = replaced_.find(v);
    return found == replaced_.end() ? v : found->second;
  }

  // The node over `x`, its input with the channels first, and a Transpose behind it.
  bool rewrite(Node& node, ValueId x) {
    const std::optional<Shape> sizes = graph_.value(node.output).sizes;
    if (!sizes || sizes->rank() < 3 || is_quantized(graph_.value(node.output).dtype)) return false;
    Node moved = node;
    moved.inputs[0] = x;
    if (auto* norm = std::get_if<LayerNorm>(&moved.op)) {
      if (norm->axis != -1 && norm->axis != sizes->rank() - 1) return false;
      norm->axis = 1;
    } else if (const auto* linear = std::get_if<Linear>(&moved.op)) {
      become_convolution(moved, *linear, sizes->rank() - 2);
    } else if (const bool scaled = scale_channels(moved, *sizes); !scaled) {
      if (!std::holds_alternative<UnaryOp>(moved.op) && !std::holds_alternative<Clip>(moved.op)) return false;
    }
    Value result = graph_.value(node.output);
    result.sizes = channels_first(*sizes);
    moved.output = graph_.add_value(std::move(result));
    first_[node.output] = moved.output;
    moved_.insert(moved.output);
    std::vector<std::int64_t> permutation{0};
    for (std::int64_t d = 2; d < sizes->rank(); ++d) permutation.push_back(d);
    permutation.push_back(1);
    Node back{node.name + "/transpose", Transpose{std::move(permutation)}, {moved.output}, node.output};
    graph_.nodes.push_back(std::move(moved));
    graph_.nodes.push_back(std::move(back));
    return true;
  }

  void become_convolution(Node& node, const Linear& linear, int ndim) {
    const Value weight = graph_.value(node.inputs[1]);
    Conv conv;
    conv.geometry.ndim = ndim;
    conv.geometry.out_channels = weight.constant.size(0);
    conv.geometry.in_channels = weight.constant.size(1);
    conv.range = linear.range;
    Shape taps = weight.constant.sizes();
    for (int d = 0; d < ndim; ++d) taps.push_back(1);
    const ValueId id = graph_.add_constant(weight.name, weight.constant.reshape(taps));
    if (weight.quantized_constant.defined())
      graph_.value(id).quantized_constant = weight.quantized_constant.reshape(taps);
    node.inputs[1] = id;
    node.inputs.resize(4, kNoValue);
    node.op = conv;
  }

  // Add or Mul of a constant of one number per channel.
  bool scale_channels(Node& node, const Shape& sizes) {
    const auto* binary = std::get_if<Binary>(&node.op);
    const auto* add = std::get_if<Add>(&node.op);
    if (add == nullptr && (binary == nullptr || binary->kind != BinaryKind::mul)) return false;
    const Value& constant = graph_.value(node.inputs[1]);
    const std::int64_t channels = sizes[sizes.rank() - 1];
    if (!constant.is_constant() || constant.dtype != DType::float32 ||
        constant.constant.numel() != channels || constant.constant.size(-1) != channels)
      return false;
    Shape column{channels};
    for (int d = 2; d < sizes.rank(); ++d) column.push_back(1);
    node.inputs[1] = graph_.add_constant(constant.name, constant.constant.reshape(column));
    return true;
  }

  Graph& graph_;
  // The value with the channels first for one with the channels last.
  std::unordered_map<ValueId, ValueId> first_;
  std::unordered_map<ValueId, ValueId> replaced_;
  std::unordered_set<ValueId> moved_;
  int count_ = 0;
};

// Add(constant, x) as Add(x, constant), so that the passes have one case.
void put_constants_second(Graph& graph) {
  for (Node& node : graph.nodes) {
    const auto* binary = std::get_if<Binary>(&node.op);
    if (!std::holds_alternative<Add>(node.op) && (binary == nullptr || binary->kind != BinaryKind::mul))
      continue;
    if (graph.value(node.inputs[0]).early && !graph.value(node.inputs[1]).early)
      std::swap(node.inputs[0], node.inputs[1]);
  }
}

}  // namespace

int move_transpose(Graph& graph) {
  put_constants_second(graph);
  return Mover(graph).run();
}

}  // namespace qconv::graph
