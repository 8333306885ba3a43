#include <algorithm>
#include <set>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

std::vector<ValueId> activations_of(const Node& node) {
  std::vector<ValueId> activations;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (is_activation(node, i)) activations.push_back(node.inputs[i]);
  }
  return activations;
}

// Operations that compute new values and have an integer form.
bool computes(const Graph& graph, const Node& node) {
  if (keeps_qparams(node.op) || !has_integer_form(node.op)) return false;
  const std::vector<ValueId> activations = activations_of(node);
  return std::none_of(activations.begin(), activations.end(),
                      [&](ValueId v) { return graph.value(v).early; });
}

// Functions with steps stay in float: quantizing what they see would move the steps.
bool has_steps(const Op& op) {
  const auto* unary = std::get_if<UnaryOp>(&op);
  return unary != nullptr &&
         (unary->function.kind == UnaryKind::ceil || unary->function.kind == UnaryKind::floor);
}

}  // namespace

bool quantizable(const Graph& graph, const Node& node, const Excluded& excluded) {
  return !has_steps(node.op) && graph.value(node.output).dtype == DType::float32 &&
         !graph.value(node.output).early && computes(graph, node) && !excluded(node);
}

ValueId moved_from(const Graph& graph, const Uses& uses, ValueId v, const Excluded& excluded) {
  for (int p = uses.producer(v); p >= 0; p = uses.producer(v)) {
    const Node& node = graph.nodes[static_cast<std::size_t>(p)];
    if (!keeps_qparams(node.op) || excluded(node)) break;
    v = node.inputs[0];
  }
  return v;
}

std::vector<ValueId> activations_to_observe(const Graph& graph, const Excluded& excluded) {
  const Uses uses(graph);
  const auto root = [&](ValueId v) { return moved_from(graph, uses, v, excluded); };
  std::set<ValueId> wanted;
  for (const Node& node : graph.nodes) {
    if (!quantizable(graph, node, excluded)) continue;
    for (const ValueId v : activations_of(node)) {
      if (!graph.value(root(v)).early) wanted.insert(root(v));
    }
    wanted.insert(node.output);
  }
  return {wanted.begin(), wanted.end()};
}

void insert_qdq(Graph& graph, const std::map<ValueId, ActivationParams>& activations,
                const Excluded& excluded, const QuantizeWeight& quantize_weight) {
  for (Node& node : graph.nodes) {
    if (!quantizable(graph, node, excluded)) continue;
    const auto* conv = std::get_if<Conv>(&node.op);
    if (conv == nullptr && !std::holds_alternative<Linear>(node.op)) continue;
    const Value weight = graph.value(node.inputs[1]);
    if (weight.is_stored_as_int8()) continue;
    node.inputs[1] = graph.add_dequantized_constant(
        weight.name,
        quantize_weight(node, weight.constant, conv != nullptr && conv->geometry.transposed ? 1 : 0));
  }

  // value -> Quantize -> integers -> Dequantize -> what everybody reads instead
  struct Pair {
    Node quantize;
    Node dequantize;
  };
  std::map<ValueId, Pair> pairs;
  for (const auto& [id, params] : activations) {
    const Value real = graph.value(id);
    Value integers;
    integers.name = real.name;
    integers.dtype = params.dtype;
    integers.qparams = params.qparams;
    integers.sizes = real.sizes;
    Value back = real;
    const ValueId integers_id = graph.add_value(std::move(integers));
    const ValueId back_id = graph.add_value(std::move(back));
    pairs.emplace(id, Pair{{real.name + "/quantize", Quantize{}, {id}, integers_id},
                           {real.name + "/dequantize", Dequantize{}, {integers_id}, back_id}});
  }
  const auto redirect = [&](ValueId& v) {
    const auto found = pairs.find(v);
    if (found != pairs.end()) v = found->second.dequantize.output;
  };
  std::vector<Node> nodes;
  const auto place = [&](ValueId id) {
    const auto found = pairs.find(id);
    if (found == pairs.end()) return;
    nodes.push_back(found->second.quantize);
    nodes.push_back(found->second.dequantize);
  };
  for (const ValueId id : graph.inputs) place(id);
  for (Node& node : graph.nodes) {
    for (ValueId& v : node.inputs) redirect(v);
    nodes.push_back(std::move(node));
    place(nodes.back().output);
  }
  for (ValueId& v : graph.outputs) redirect(v);
  graph.nodes = std::move(nodes);
}

}  // namespace qconv::graph
