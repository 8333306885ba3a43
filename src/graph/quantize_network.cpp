#include <algorithm>
#include <map>

#include <qconv/qconfig.hpp>
#include <qconv/quantize_network.hpp>
#include <qconv/quantize_weight.hpp>

#include "graph/passes/passes.hpp"
#include "graph/quantize_rules.hpp"
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

Tensor quantize_one_weight(const Node& node, const Tensor& weight, int axis, bool per_channel) {
  const auto observer =
      per_channel ? default_per_channel_weight_observer(axis)() : default_weight_observer()();
  observer->observe(weight);
  try {
    return quantize_weight(weight, *observer);
  } catch (const Error& e) {
    throw ValueError(fmt::format("quantize: the weight of '{}': {}", node.name, e.what()));
  }
}

BatchSource source_of(std::span<const Tensor> batches) {
  return [batches, next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
    if (next == batches.size()) return std::nullopt;
    return std::vector<Tensor>{batches[next++]};
  };
}

}  // namespace

Network quantize(const Network& network, const BatchSource& batches, const QuantizeOptions& options) {
  const Graph& graph = network.graph();
  const LayerSettings settings(graph, options);
  const graph::Excluded excluded = [&](const Node& node) { return settings.excluded(node); };
  const std::vector<ValueId> values = activations_to_observe(graph, excluded);
  check(!values.empty() || !network.quantized(), "quantize: the network '{}' computes with integers already",
        graph.name);
  check(!values.empty(), "quantize: no layer of the network '{}' can be quantized", graph.name);
  Calibration calibration(graph, values, settings);

  RunOptions run;
  run.tap = [&](const LayerResult& r) { calibration.observe_layer(r.name, r.output); };
  std::size_t count = 0;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    calibration.observe_inputs(graph, *batch);
    network.run(*batch, run);
    ++count;
    if (options.progress) options.progress(count);
  }
  check(count > 0, "quantize: there is no calibration data");

  std::map<ValueId, graph::ActivationParams> params = calibration.params();
  narrow_ranges(graph, params);
  Graph quantized = graph;
  insert_qdq(quantized, params, excluded, [&](const Node& node, const Tensor& weight, int axis) {
    return quantize_one_weight(node, weight, axis, settings.per_channel(node));
  });
  lower_qdq(quantized);
  NetworkOptions prepared = network.options();
  if (!options.engine.empty()) prepared.engine = options.engine;
  return Network(std::move(quantized), prepared);
}

Network quantize(const Network& network, std::span<const Tensor> batches, const QuantizeOptions& options) {
  return quantize(network, source_of(batches), options);
}

std::vector<LayerDifference> compare_layers(const Network& reference, const Network& other,
                                            std::span<const Tensor> batches) {
  return compare_layers(reference, other, source_of(batches));
}

}  // namespace qconv
