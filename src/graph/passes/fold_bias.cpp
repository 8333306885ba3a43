#include "graph/passes/passes.hpp"

namespace qconv::graph {
int fold_bias(Graph& graph) {
  const Uses uses(graph);
  int count = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto* add = std::get_if<Add>(&graph.nodes[i].op);
    if (add == nullptr) continue;
    for (const int operand : {0, 1}) {
      const ValueId x = graph.nodes[i].inputs[static_cast<std::size_t>(operand)];
      const Value& other = graph.value(graph.nodes[i].inputs[static_cast<std::size_t>(1 - operand)]);
      const int producer = uses.producer(x);
      if (!other.is_constant() || producer < 0 || uses.only_reader(x) != static_cast<int>(i)) continue;
      Node& node = graph.nodes[static_cast<std::size_t>(producer)];
      auto* conv = std::get_if<Conv>(&node.op);
      auto* linear = std::get_if<Linear>(&node.op);
      if ((conv == nullptr && linear == nullptr) || node.input(3) != kNoValue) continue;
      Range& range = conv ? conv->range : linear->range;
      if (!range.unlimited()) continue;
      const std::int64_t channels =
          conv ? conv->geometry.out_channels : graph.value(node.inputs[1]).constant.size(0);
      std::vector<float> bias =
          per_channel(other.elements(), conv ? conv->geometry.ndim + 2 : 2, 1, channels);
      if (bias.empty()) continue;
      if (bias.size() == 1) bias.resize(static_cast<std::size_t>(channels), bias[0]);
      if (node.input(2) != kNoValue) {
        const std::vector<float> old = graph.value(node.inputs[2]).elements().to_vector<float>();
        for (std::size_t c = 0; c < bias.size(); ++c) bias[c] = old[c] + bias[c];
      }
      const Tensor sum = Tensor::from_data(bias, {channels});
      if (!all_finite(sum)) continue;
      node.inputs.resize(conv ? 4 : 3, kNoValue);
      range = add->range;
      node.output = graph.nodes[i].output;
      const ValueId id = graph.add_constant(node.name + "/bias", sum);
      node.inputs[2] = id;
      graph.nodes[i].output = x;  // nobody reads it: the Add dies
      ++count;
      break;
    }
  }
  if (count > 0) remove_dead_nodes(graph);
  return count;
}

}  // namespace qconv::graph
