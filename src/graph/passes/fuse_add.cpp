#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

// Whether no broadcasting happens. Sizes that are only known later are taken to be equal where both are
// unknown; the executor checks.
bool same_sizes(const Value& a, const Value& b) { return a.sizes && b.sizes && *a.sizes == *b.sizes; }

// Whether the node is a convolution that can take an addend.
bool can_add(const Node& node) {
  const auto* conv = std::get_if<Conv>(&node.op);
  return conv != nullptr && !conv->geometry.transposed && conv->range.unlimited() &&
         node.input(3) == kNoValue;
}

}  // namespace

int fuse_add(Graph& graph) {
  int count = 0;
  const Uses uses(graph);
  std::vector<bool> gone(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto* add = std::get_if<Add>(&graph.nodes[i].op);
    if (add == nullptr) continue;
    const std::vector<ValueId> operands = graph.nodes[i].inputs;
    if (!same_sizes(graph.value(operands[0]), graph.value(operands[1]))) continue;
    int best = -1;
    ValueId addend = kNoValue;
    for (const std::size_t o : {std::size_t{0}, std::size_t{1}}) {
      const int producer = uses.producer(operands[o]);
      if (producer <= best || uses.only_reader(operands[o]) != static_cast<int>(i)) continue;
      if (!can_add(graph.nodes[static_cast<std::size_t>(producer)])) continue;
      if (graph.value(operands[1 - o]).early) continue;
      best = producer;
      addend = operands[1 - o];
    }
    if (best < 0) continue;
    Node node = std::move(graph.nodes[static_cast<std::size_t>(best)]);
    gone[static_cast<std::size_t>(best)] = true;
    std::get<Conv>(node.op).range = add->range;
    node.inputs.resize(4, kNoValue);
    node.inputs[3] = addend;
    node.output = graph.nodes[i].output;
    // At the place of the Add, where the addend is there.
    graph.nodes[i] = std::move(node);
    ++count;
  }
  remove_nodes(graph, gone);
  return count;
}

}  // namespace qconv::graph
