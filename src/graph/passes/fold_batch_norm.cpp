#include <cmath>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

struct Folded {
  Tensor weight;
  Tensor bias;
};

// `rows` is how the weight is laid out: the output channel of element i is channel(i / inner).
template <class Channel>
Folded fold(const Graph& graph, const Node& norm, double epsilon, const Tensor& weight, const Tensor& bias,
            std::int64_t outputs, std::int64_t inner, const Channel& channel) {
  const auto values = [&](std::size_t input) {
    return graph.value(norm.inputs[input]).elements().to_vector<float>();
  };
  const std::vector<float> scale = values(1);
  const std::vector<float> shift = values(2);
  const std::vector<float> mean = values(3);
  const std::vector<float> variance = values(4);
  std::vector<float> inverse(scale.size());
  for (std::size_t c = 0; c < inverse.size(); ++c) {
    inverse[c] = 1.0F / std::sqrt(variance[c] + static_cast<float>(epsilon));
  }
  Folded folded{weight.clone(), Tensor::empty({outputs}, DType::float32)};
  float* w = folded.weight.mutable_data<float>();
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    const auto c = static_cast<std::size_t>(channel(i / inner));
    w[i] *= scale[c] * inverse[c];
  }
  const std::vector<float> old =
      bias.defined() ? bias.to_vector<float>() : std::vector<float>(static_cast<std::size_t>(outputs));
  for (std::size_t c = 0; c < old.size(); ++c) {
    folded.bias.mutable_data<float>()[c] = (old[c] - mean[c]) * inverse[c] * scale[c] + shift[c];
  }
  return folded;
}

}  // namespace

int fold_batch_norm(Graph& graph) {
  const Uses uses(graph);
  int count = 0;
  std::vector<bool> gone(graph.nodes.size(), false);
  // A layer takes over the result of what it takes in, behind which may stand another.
  std::vector<int> maker(graph.values.size());
  for (std::size_t v = 0; v < maker.size(); ++v) maker[v] = uses.producer(static_cast<ValueId>(v));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto* norm = std::get_if<BatchNorm>(&graph.nodes[i].op);
    if (norm == nullptr) continue;
    const ValueId x = graph.nodes[i].inputs[0];
    const int producer = maker[static_cast<std::size_t>(x)];
    if (producer < 0 || uses.only_reader(x) != static_cast<int>(i)) continue;
    Node& node = graph.nodes[static_cast<std::size_t>(producer)];
    const auto* conv = std::get_if<Conv>(&node.op);
    const auto* linear = std::get_if<Linear>(&node.op);
    if (conv == nullptr && linear == nullptr) continue;
    if (!(conv ? conv->range : linear->range).unlimited() || node.input(3) != kNoValue) continue;
    const Value& weight = graph.value(node.inputs[1]);
    if (weight.is_stored_as_int8()) continue;  // its integers are what the file says
    const Tensor bias = node.input(2) == kNoValue ? Tensor() : graph.value(node.inputs[2]).elements();
    const Tensor& w = weight.constant;
    const std::int64_t channels = graph.value(graph.nodes[i].inputs[1]).constant.numel();
    const std::int64_t outputs = conv ? conv->geometry.out_channels : w.size(0);
    if (channels != outputs) continue;
    Folded folded;
    if (conv != nullptr && conv->geometry.transposed) {
      // (IC, OC / groups, taps): the row of element i is (input channel, output channel of its group).
      const std::int64_t by_group = w.size(1);
      const std::int64_t inputs_by_group = conv->geometry.in_channels_per_group();
      folded = fold(
          graph, graph.nodes[i], norm->epsilon, w, bias, outputs, conv->geometry.taps(),
          [=](std::int64_t row) { return row / by_group / inputs_by_group * by_group + row % by_group; });
    } else {
      folded = fold(graph, graph.nodes[i], norm->epsilon, w, bias, outputs, w.numel() / outputs,
                    [](std::int64_t row) { return row; });
    }
    if (!all_finite(folded.weight) || !all_finite(folded.bias)) continue;
    const std::string name = weight.name;
    const std::string bias_name = node.name + "/bias";
    node.inputs.resize(3, kNoValue);
    const ValueId weight_id = graph.add_constant(name, folded.weight);
    const ValueId bias_id = graph.add_constant(bias_name, folded.bias);
    node.inputs[1] = weight_id;
    node.inputs[2] = bias_id;
    node.output = graph.nodes[i].output;
    maker[static_cast<std::size_t>(node.output)] = producer;
    if (conv != nullptr) node.inputs.resize(4, kNoValue);
    gone[i] = true;
    ++count;
  }
  remove_nodes(graph, gone);
  return count;
}

}  // namespace qconv::graph
