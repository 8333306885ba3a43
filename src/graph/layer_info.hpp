#pragma once

#include <span>
#include <string>
#include <vector>

#include <qconv/network.hpp>

#include "graph/executor.hpp"

/// What a network says about itself.
namespace qconv::graph {

ValueInfo describe(const Value& value);

struct WeightCount {
  std::int64_t parameters = 0;
  std::size_t bytes = 0;
};
/// The weight and bias of a Conv, Linear or BatchNorm node.
WeightCount count_weights(const Graph& graph, const Node& node);

/// Whether the node reads and makes integers.
bool computes_with_integers(const Graph& graph, const Node& node);

/// One entry per layer that runs; with a plan, its sizes and kernels, otherwise what is known without.
std::vector<LayerInfo> describe_layers(const Graph& graph, const Executor& executor, const Plan* plan);
/// For people: aligned columns, a header, one line per layer.
std::string layer_table(const std::vector<LayerInfo>& layers);

/// Throws ValueError unless there is one for each input of the network, and fits it.
void check_input_sizes(const Graph& graph, std::span<const Shape> input_sizes);

}  // namespace qconv::graph
