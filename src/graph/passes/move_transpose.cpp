#include <algorithm>
#include <unordered_map>

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
    for (ValueId& output : graph_.outputs) {
      const auto found = replaced_.find(output);
      if (found == replaced_.end() || !may_be_called_otherwise(found->second)) continue;
      graph_.value(found->second).name = graph_.value(output).name;
      output = found->second;
    }
    remove_dead_nodes(graph_);
    return count_;
  }

 private:
  // Whether a value is nothing that the network's users know by its name.
  bool may_be_called_otherwise(ValueId v) const {
    return std::find(graph_.inputs.begin(), graph_.inputs.end(), v) == graph_.inputs.end() &&
           std::find(graph_.outputs.begin(), graph_.outputs.end(), v) == graph_.outputs.end();
  }

  // Which input the node works on; others are constants, where it moves.
  std::size_t worked_on(const Node& node) const {
    const bool two = std::holds_alternative<Binary>(node.op) && graph_.value(node.inputs[0]).early;
    return two ? 1 : 0;
  }

  void move(Node node) {
    for (ValueId& v : node.inputs) v = current(v);
    const auto found = node.inputs.empty() ? first_.end() : first_.find(node.inputs[worked_on(node)]);
    if (const auto* transpose = std::get_if<Transpose>(&node.op)) {
      // Of three dimensions, the same permutation does both.
      if (found != first_.end() && puts_channels_first(transpose->permutation)) {
        // Readers come later in the order; they read the value itself from here on.
        replaced_[node.output] = found->second;
        // What was only between the two goes by the name behind them.
        if (may_be_called_otherwise(found->second))
          graph_.value(found->second).name = graph_.value(node.output).name;
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
    const std::size_t at = worked_on(node);
    const std::optional<Shape>& given = graph_.value(node.inputs[at]).sizes;
    if (!sizes || sizes->rank() < 3 || is_quantized(graph_.value(node.output).dtype)) return false;
    // An operand with more dimensions would add some in front.
    if (!given || given->rank() != sizes->rank()) return false;
    Node moved = node;
    moved.inputs[at] = x;
    if (auto* norm = std::get_if<LayerNorm>(&moved.op)) {
      if (norm->axis != -1 && norm->axis != sizes->rank() - 1) return false;
      norm->axis = 1;
    } else if (const auto* linear = std::get_if<Linear>(&moved.op)) {
      if (sizes->rank() > 5) return false;
      become_convolution(moved, *linear, sizes->rank() - 2);
    } else if (const bool scaled = scale_channels(moved, *sizes, 1 - at); !scaled) {
      if (!std::holds_alternative<UnaryOp>(moved.op) && !std::holds_alternative<Clip>(moved.op)) return false;
    }
    Value result = graph_.value(node.output);
    result.sizes = channels_first(*sizes);
    moved.output = graph_.add_value(std::move(result));
    first_[node.output] = moved.output;
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
    const Tensor kernel = weight.constant.reshape(taps);
    node.inputs[1] = weight.is_stored_as_int8() ? graph_.add_dequantized_constant(weight.name, kernel)
                                                : graph_.add_constant(weight.name, kernel);
    node.inputs.resize(4, kNoValue);
    node.op = conv;
  }

  // Functions of two numbers of which input `other` is a constant: of one number, for all or per channel.
  bool scale_channels(Node& node, const Shape& sizes, std::size_t other) {
    if (!std::holds_alternative<Add>(node.op) && !std::holds_alternative<Binary>(node.op)) return false;
    const Value& constant = graph_.value(node.inputs[other]);
    const std::int64_t channels = sizes[sizes.rank() - 1];
    if (!constant.is_constant() || constant.dtype != DType::float32) return false;
    if (constant.constant.numel() == 1) {
      node.inputs[other] = graph_.add_constant(constant.name, constant.elements().reshape({}));
      return true;
    }
    if (constant.constant.numel() != channels || constant.constant.size(-1) != channels) return false;
    Shape column{channels};
    for (int d = 2; d < sizes.rank(); ++d) column.push_back(1);
    node.inputs[other] = graph_.add_constant(constant.name, constant.elements().reshape(column));
    return true;
  }

  Graph& graph_;
  // The value with the channels first for one with the channels last.
  std::unordered_map<ValueId, ValueId> first_;
  std::unordered_map<ValueId, ValueId> replaced_;
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
