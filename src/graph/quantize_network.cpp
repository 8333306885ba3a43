#include <algorithm>
#include <map>

#include <qconv/quantize_network.hpp>

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
class Observations {
 public:
  Observations(const Graph& graph, const std::vector<ValueId>& values, const LayerSettings& settings) {
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

  // Numbers, not names, stand in front: names may be no UTF-8, or begin like each other.
  StateDict state_dict() const {
    StateDict all;
    std::size_t number = 0;
    for (const auto& [id, entry] : entries_) {
      for (const auto& [key, tensor] : entry.observer->state_dict(prefix_of(number))) all.set(key, tensor);
      ++number;
    }
    return all;
  }

  // Merges into copies, so that a state which does not fit changes nothing.
  void merge_state(const StateDict& state) {
    check(state.size() == state_dict().size(),
          "quantize: a state of {} entries is of another calibration, this one has {}", state.size(),
          state_dict().size());
    std::vector<std::unique_ptr<Observer>> merged;
    for (const auto& [id, entry] : entries_) {
      merged.push_back(entry.observer->clone());
      try {
        merged.back()->merge_state(state, prefix_of(merged.size() - 1));
      } catch (const Error& e) {
        throw ValueError(fmt::format("quantize: the state of '{}': {}", entry.layer, e.what()));
      }
    }
    std::size_t number = 0;
    for (auto& [id, entry] : entries_) entry.observer = std::move(merged[number++]);
  }

 private:
  struct Entry {
    std::unique_ptr<Observer> observer;
    std::string layer;
  };

  static std::string prefix_of(std::size_t number) { return fmt::format("{}.", number); }

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

namespace {

// Runs the network over the data and shows it to the observers; `largest` may be null. Returns the number of
// batches.
std::size_t observe(const Network& network, const BatchSource& batches, const QuantizeOptions& options,
                    Observations& observations,
                    std::map<std::string, std::vector<float>, std::less<>>* largest) {
  const Graph& graph = network.graph();
  RunOptions run;
  run.tap = [&](const LayerResult& r) {
    observations.observe_layer(r.name, r.output);
    if (largest != nullptr) watch(graph.nodes, r, *largest);
  };
  std::size_t count = 0;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    observations.observe_inputs(graph, *batch);
    network.run(*batch, run);
    ++count;
    if (options.progress) options.progress(count);
  }
  return count;
}

}  // namespace

graph::Calibrated graph::calibrate(const Network& network, const BatchSource& batches,
                                   const QuantizeOptions& options, const std::vector<ValueId>& values,
                                   const LayerSettings& settings, bool watch_channels) {
  Observations observations(network.graph(), values, settings);
  Calibrated calibrated;
  const std::size_t count =
      observe(network, batches, options, observations, watch_channels ? &calibrated.largest : nullptr);
  check(count > 0, "quantize: there is no calibration data");
  calibrated.activations = observations.params();
  return calibrated;
}

struct Calibration::Impl {
  Impl(const Network& float_network, const QuantizeOptions& given)
      : options(given),
        network(graph::equalized(float_network, options)),
        settings(network.graph(), options),
        observations(network.graph(), graph::watched_values(network, settings), settings) {
    check(!options.correct_bias && options.rounding == Rounding::nearest,
          "Calibration: bias correction and adaptive rounding need the data itself; use quantize()");
  }

  const QuantizeOptions options;
  const Network network;
  const LayerSettings settings;
  Observations observations;
};

Calibration::Calibration(const Network& network, const QuantizeOptions& options)
    : impl_(std::make_unique<Impl>(network, options)) {}
Calibration::~Calibration() = default;
Calibration::Calibration(Calibration&&) noexcept = default;
Calibration& Calibration::operator=(Calibration&&) noexcept = default;

void Calibration::observe(const BatchSource& batches) {
  qconv::observe(impl_->network, batches, impl_->options, impl_->observations, nullptr);
}

StateDict Calibration::state_dict() const { return impl_->observations.state_dict(); }

void Calibration::merge_state(const StateDict& state) { impl_->observations.merge_state(state); }

Network Calibration::quantize() const {
  return graph::Quantizer(impl_->network, {impl_->observations.params(), {}}, impl_->options).build();
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
