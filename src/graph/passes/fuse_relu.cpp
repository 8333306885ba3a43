#include "graph/passes/passes.hpp"

namespace qconv::graph {
int fuse_relu(Graph& graph) {
  int count = 0;
  const Uses uses(graph);
  // A fused node takes over the result of its Clip, so the maker of a value moves.
  std::vector<int> maker(graph.values.size());
  for (std::size_t v = 0; v < maker.size(); ++v) maker[v] = uses.producer(static_cast<ValueId>(v));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto* clip = std::get_if<Clip>(&graph.nodes[i].op);
    if (clip == nullptr) continue;
    const ValueId x = graph.nodes[i].inputs[0];
    if (is_quantized(graph.value(x).dtype) || uses.only_reader(x) != static_cast<int>(i)) continue;
    const int producer = maker[static_cast<std::size_t>(x)];
    if (producer < 0) continue;
    Node& node = graph.nodes[static_cast<std::size_t>(producer)];
    Range* range = range_of(node.op);
    if (range == nullptr) continue;
    *range = intersect(*range, clip->range);
    const ValueId result = graph.nodes[i].output;
    node.output = result;
    graph.nodes[i].output = x;  // nobody reads it any more: the Clip dies
    maker[static_cast<std::size_t>(result)] = producer;
    ++count;
  }
  if (count > 0) remove_dead_nodes(graph);
  return count;
}

}  // namespace qconv::graph
