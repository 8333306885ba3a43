#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "graph/ir.hpp"

namespace qconv::graph {

/// Which channels an element of a weight connects. Weights are (OC, IC / groups, taps...), transposed (IC,
/// OC / groups, taps...); a linear layer's is one of one tap.
struct WeightLayout {
  std::int64_t out_channels = 1;
  std::int64_t in_channels = 1;
  std::int64_t groups = 1;
  std::int64_t taps = 1;
  bool transposed = false;

  std::int64_t out_of(std::int64_t element) const noexcept {
    const std::int64_t row = element / (columns() * taps);
    if (!transposed) return row;
    return row / (in_channels / groups) * columns() + element / taps % columns();
  }
  std::int64_t in_of(std::int64_t element) const noexcept {
    const std::int64_t row = element / (columns() * taps);
    if (transposed) return row;
    return row / (out_channels / groups) * columns() + element / taps % columns();
  }

 private:
  std::int64_t columns() const noexcept { return (transposed ? out_channels : in_channels) / groups; }
};

inline WeightLayout layout_of(const Graph& graph, const Node& node) {
  const Shape& sizes = *graph.value(node.inputs[1]).sizes;
  if (const auto* conv = std::get_if<Conv>(&node.op)) {
    const ConvGeometry& g = conv->geometry;
    return {g.out_channels, g.in_channels, g.groups, g.taps(), g.transposed};
  }
  return {sizes[0], sizes[1], 1, 1, false};
}

/// The dimension of a weight's output channels.
inline int channel_axis(const Node& node) {
  const auto* conv = std::get_if<Conv>(&node.op);
  return conv != nullptr && conv->geometry.transposed ? 1 : 0;
}

/// The limits of a Conv or Linear.
template <class AnyNode>
auto& limits_of(AnyNode& node) {
  auto* conv = std::get_if<Conv>(&node.op);
  return conv != nullptr ? conv->range : std::get<Linear>(node.op).range;
}

/// The bias of a Conv or Linear, zeros where there is none.
inline std::vector<float> bias_of(const Graph& graph, const Node& node) {
  if (node.input(2) != kNoValue) return graph.value(node.inputs[2]).elements().to_vector<float>();
  return std::vector<float>(static_cast<std::size_t>(layout_of(graph, node).out_channels));
}

/// Gives the node a constant of its own: others that read the old one are not touched.
inline void set_constant(Graph& graph, Node& node, std::size_t input, const std::string& otherwise_named,
                         Tensor tensor) {
  if (node.inputs.size() <= input) node.inputs.resize(input + 1, kNoValue);
  const ValueId old = node.inputs[input];
  node.inputs[input] =
      graph.add_constant(old == kNoValue ? otherwise_named : graph.value(old).name, std::move(tensor));
}
inline void set_bias(Graph& graph, Node& node, const std::vector<float>& bias) {
  set_constant(graph, node, 2, node.name + "/bias",
               Tensor::from_data(bias, {static_cast<std::int64_t>(bias.size())}));
}

}  // namespace qconv::graph
