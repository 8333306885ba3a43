#include <algorithm>
#include <map>

#include <qconv/quantize_network.hpp>

#include "graph/passes/passes.hpp"
#include "graph/quantize_rules.hpp"
#include "graph/quantizer.hpp"
#include "graph/repair/weight_layout.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

// The observers of the activations, found by value and by the layer that makes the value.
class Calibration {
 public:
  Calibration(const Graph& graph, const std::vector<ValueId>& values, const LayerSettings& settings) {
    std::vector<std::unique_ptr<Observer>> observers = settings.observers(values);
    const graph::Uses uses(graph);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string& layer = settings.name(values[i]);
      if (uses.producer(values[i]) >= 0) by_layer_[layer] = values[i];
      entries_[values[i]] = {std::move(observers[i]), layer};
    }
  }

  // Comes before the run, so that NaN in an input is not blamed on the layer behind it. Inputs that do not
  // fit the network are left to the run, which says so.
  void observe_inputs(const Graph& graph, const std::vector<Tensor>& batch) {
    for (std::size_t i = 0; i < std::min(graph.inputs.size(), batch.size()); ++i) {
      const auto found = entries_.find(graph.inputs[i]);
      if (found != entries_.end() && batch[i].dtype() == float32) observe(found->second, batch[i]);
    }
  }

  void observe_layer(std::string_view layer, const Tensor& result) {
    const auto found = by_layer_.find(layer);
    if (found != by_layer_.end()) observe(entries_.at(found->second), result);
  }

  std::map<ValueId, graph::ActivationParams> params() const {
    std::map<ValueId, graph::ActivationParams> all;
    for (const auto& [id, entry] : entries_) {
      check(entry.observer->calibrated(), "quantize: '{}' saw no calibration data", entry.layer);
      try {
        const ObservedQParams observed = entry.observer->calculate_qparams();
        all[id] = {observed.qparams, observed.dtype};
      } catch (const Error& e) {
        throw ValueError(fmt::format("quantize: '{}': {}", entry.layer, e.what()));
      }
    }
    return all;
  }

 private:
  struct Entry {
    std::unique_ptr<Observer> observer;
    std::string layer;
  };

  static void observe(Entry& entry, const Tensor& values) {
    try {
      entry.observer->observe(values);
    } catch (const Error& e) {
      throw ValueError(fmt::format("quantize: '{}': {}", entry.layer, e.what()));
    }
  }

  std::map<ValueId, Entry> entries_;
  std::map<std::string, ValueId, std::less<>> by_layer_;
};

// The largest result of each channel of a layer with a ReLU.
void watch(const std::vector<Node>& nodes, const LayerResult& result,
           std::map<std::string, std::vector<float>, std::less<>>& largest) {
  const auto node =
      std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == result.name; });
  if (node == nodes.end() || !has_weight(*node) || graph::limits_of(*node).lo != 0) return;
  const Tensor x =
      std::holds_alternative<graph::Conv>(node->op) ? result.output.transpose(1, -1) : result.output;
  const std::vector<float> values = x.to_vector<float>();
  std::vector<float>& of = largest[node->name];
  of.resize(static_cast<std::size_t>(x.size(-1)));
  for (std::size_t i = 0; i < values.size(); ++i) of[i % of.size()] = std::max(of[i % of.size()], values[i]);
}

BatchSource source_of(std::span<const Tensor> batches) {
  return [batches, next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
    if (next == batches.size()) {
      next = 0;
      return std::nullopt;
    }
    return std::vector<Tensor>{batches[next++]};
  };
}

}  // namespace

graph::Calibrated graph::calibrate(const Network& network, const BatchSource& batches,
                                   const QuantizeOptions& options, const std::vector<ValueId>& values,
                                   const LayerSettings& settings, bool watch_channels) {
  const Graph& graph = network.graph();
  Calibration calibration(graph, values, settings);
  Calibrated calibrated;
  RunOptions run;
  run.tap = [&](const LayerResult& r) {
    calibration.observe_layer(r.name, r.output);
    if (watch_channels) watch(graph.nodes, r, calibrated.largest);
  };
  std::size_t count = 0;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    calibration.observe_inputs(graph, *batch);
    network.run(*batch, run);
    ++count;
    if (options.progress) options.progress(count);
  }
  check(count > 0, "quantize: there is no calibration data");
  calibrated.activations = calibration.params();
  return calibrated;
}

Network quantize(const Network& network, const BatchSource& batches, const QuantizeOptions& options) {
  return graph::Quantizer(network, batches, options).build();
}

Network quantize(const Network& network, std::span<const Tensor> batches, const QuantizeOptions& options) {
  return quantize(network, source_of(batches), options);
}

std::vector<LayerDifference> compare_layers(const Network& reference, const Network& other,
                                            std::span<const Tensor> batches) {
  return compare_layers(reference, other, source_of(batches));
}

}  // namespace qconv
