#include "graph/repair/bias_correction.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "graph/passes/passes.hpp"
#include "graph/repair/weight_layout.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

// Means of each channel, over everything that was added.
class ChannelMeans {
 public:
  // Channels are dimension 1 of a convolution's result, and the last of a linear layer's.
  void add(const Tensor& result, bool channels_last) {
    const Tensor rows = channels_last ? result : result.transpose(1, -1);
    const auto channels = static_cast<std::size_t>(rows.size(-1));
    sums_.resize(channels);
    if (rows.numel() == 0) return;
    const std::vector<float> values = rows.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); i += channels) {
      for (std::size_t c = 0; c < channels; ++c) sums_[c] += static_cast<double>(values[i + c]);
    }
    const std::size_t positions = values.size() / channels;
    count_ += static_cast<double>(positions);
  }
  double mean(std::size_t channel) const { return count_ == 0 ? 0 : sums_[channel] / count_; }

 private:
  std::vector<double> sums_;
  double count_ = 0;
};

using MeansByName = std::map<std::string, ChannelMeans, std::less<>>;

// What the layers compute before their limits. Reads the data once.
MeansByName means_of(Graph graph, const std::vector<std::string>& layers, const NetworkOptions& options,
                     const BatchSource& batches) {
  std::vector<Node> nodes;
  std::vector<std::pair<std::string, bool>> probes;
  graph.outputs.clear();
  for (Node& node : graph.nodes) {
    nodes.push_back(node);
    if (std::find(layers.begin(), layers.end(), node.name) == layers.end()) continue;
    Node probe = node;
    limits_of(probe) = {};
    probe.name += "/before its limits";
    Value value;
    value.name = graph.value(node.output).name + "/before its limits";
    value.sizes = graph.value(node.output).sizes;
    probe.output = graph.add_value(std::move(value));
    graph.outputs.push_back(probe.output);
    probes.emplace_back(node.name, std::holds_alternative<Linear>(node.op));
    nodes.push_back(std::move(probe));
  }
  graph.nodes = std::move(nodes);
  remove_dead_nodes(graph);
  lower_qdq(graph);
  const Network network(std::move(graph), options);
  MeansByName means;
  std::size_t count = 0;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    const std::vector<Tensor> results = network.run(*batch, RunOptions{});
    for (std::size_t i = 0; i < probes.size(); ++i) means[probes[i].first].add(results[i], probes[i].second);
    ++count;
  }
  check(count > 0,
        "quantize: bias correction needs the calibration data more than once, and it came only once; give a "
        "list of batches, or a source that starts over after its end");
  return means;
}

}  // namespace

std::vector<std::vector<std::size_t>> layers_by_depth(const Graph& graph) {
  std::vector<std::size_t> depth(graph.values.size(), 0);
  std::vector<std::vector<std::size_t>> layers;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::size_t d = 0;
    for (const ValueId v : node.inputs) {
      if (v != kNoValue) d = std::max(d, depth[static_cast<std::size_t>(v)]);
    }
    if (has_weight(node) && graph.value(node.inputs[1]).is_stored_as_int8()) {
      if (layers.size() <= d) layers.resize(d + 1);
      layers[d++].push_back(i);
    }
    depth[static_cast<std::size_t>(node.output)] = d;
  }
  return layers;
}

void correct_biases(Graph& graph, const Network& network, const BatchSource& batches,
                    const QuantizeOptions& options) {
  const std::vector<std::vector<std::size_t>> depths = layers_by_depth(graph);
  std::vector<std::string> all;
  for (const auto& layers : depths) {
    for (const std::size_t i : layers) all.push_back(graph.nodes[i].name);
  }
  if (all.empty()) return;
  const auto step = [&](std::size_t done) {
    if (options.on_step) options.on_step("correcting biases", done, depths.size() + 1);
  };
  step(0);
  const MeansByName real = means_of(network.graph(), all, network.options(), batches);
  NetworkOptions quantized = network.options();
  if (!options.engine.empty()) quantized.engine = options.engine;
  for (std::size_t d = 0; d < depths.size(); ++d) {
    step(d + 1);
    std::vector<std::string> names;
    for (const std::size_t i : depths[d]) names.push_back(graph.nodes[i].name);
    const MeansByName means = means_of(graph, names, quantized, batches);
    for (const std::size_t i : depths[d]) {
      Node& node = graph.nodes[i];
      std::vector<float> bias = bias_of(graph, node);
      const ChannelMeans& is = means.find(node.name)->second;
      const ChannelMeans& should = real.find(node.name)->second;
      for (std::size_t c = 0; c < bias.size(); ++c) {
        bias[c] = static_cast<float>(static_cast<double>(bias[c]) + should.mean(c) - is.mean(c));
      }
      set_bias(graph, node, bias);
    }
  }
  step(depths.size() + 1);
}

}  // namespace qconv::graph
