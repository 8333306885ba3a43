#include "graph/quantizer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <qconv/qconfig.hpp>
#include <qconv/quantize.hpp>
#include <qconv/quantize_weight.hpp>

#include "graph/kept_weights.hpp"
#include "graph/repair/adaptive_rounding.hpp"
#include "graph/repair/bias_correction.hpp"
#include "graph/repair/equalize.hpp"
#include "graph/repair/weight_layout.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

// A bias in units of the accumulator, input scale times weight scale, must leave room in int32 for the sums:
// other runtimes keep it there.
constexpr double kLargestBias = 1 << 30;

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "3 of 64 channels (0, 5, 9)"; the first few of many.
std::string channel_list(const std::vector<std::size_t>& channels, std::size_t total) {
  constexpr std::size_t kShown = 8;
  std::string list;
  for (std::size_t i = 0; i < std::min(channels.size(), kShown); ++i) {
    list += fmt::format("{}{}", i == 0 ? "" : ", ", channels[i]);
  }
  if (channels.size() > kShown) list += ", ...";
  return fmt::format("{} of {} output channels ({})", channels.size(), total, list);
}

Tensor quantize_with(const Tensor& weight, const QParams& q) {
  return q.is_per_channel() ? quantize_per_channel(weight, q.scales, q.zero_points, q.axis, qint8)
                            : quantize_per_tensor(weight, q.scales[0], q.zero_points[0], qint8);
}

// 255 times the largest sum of magnitudes of an output channel: what int32 must hold.
double accumulator_bound(const Tensor& quantized, const WeightLayout& layout) {
  const std::vector<std::int8_t> w = quantized.int_repr().to_vector<std::int8_t>();
  std::vector<double> sums(static_cast<std::size_t>(layout.out_channels));
  for (std::size_t i = 0; i < w.size(); ++i) {
    sums[static_cast<std::size_t>(layout.out_of(static_cast<std::int64_t>(i)))] += std::abs(int{w[i]});
  }
  return sums.empty() ? 0 : 255 * *std::max_element(sums.begin(), sums.end());
}

}  // namespace

Network equalized(const Network& network, const QuantizeOptions& options) {
  check_keeps_weights("quantize", network);
  if (!options.equalize) return network;
  Graph graph = network.graph();
  const Equalization done = equalize(graph, options.equalize_clips);
  if (options.note) {
    for (const std::string& layer : done.limited) {
      options.note(layer, "not equalized with the layer behind it: a limit above, as of a ReLU6, is between");
    }
  }
  return {std::move(graph), network.options()};
}

std::vector<ValueId> watched_values(const Network& network, const LayerSettings& settings) {
  const Graph& graph = network.graph();
  std::vector<ValueId> values =
      activations_to_observe(graph, [&](const Node& node) { return settings.excluded(node); });
  check(!values.empty() || !network.quantized(), "quantize: the network '{}' computes with integers already",
        graph.name);
  check(!values.empty(), "quantize: no layer of the network '{}' can be quantized", graph.name);
  return values;
}

Quantizer::Quantizer(const Network& network, const BatchSource& batches, const QuantizeOptions& options,
                     bool finer)
    : network_(equalized(network, options)),
      batches_(&batches),
      options_(options),
      settings_(network_.graph(), options),
      calibrated_(calibrate(network_, batches, options, watched_values(network_, settings_), settings_,
                            static_cast<bool>(options.note))) {
  prepare(finer);
}

Quantizer::Quantizer(const Network& network, Calibrated calibrated, const QuantizeOptions& options)
    : network_(network),
      batches_(nullptr),
      options_(options),
      settings_(network_.graph(), options),
      calibrated_(std::move(calibrated)) {
  prepare(false);
}

void Quantizer::prepare(bool finer) {
  const Graph& graph = network_.graph();
  narrow_ranges(graph, calibrated_.activations);
  quantize_weights(finer);
  if (options_.rounding == Rounding::adaptive) {
    round_adaptively(weights_, network_, *batches_, options_);
    if (finer) round_adaptively(finer_weights_, network_, *batches_, options_);
  }
  for (const Node& node : graph.nodes) {
    if (quantizable(graph, node, [this](const Node& n) { return excluded(n); })) layers_.push_back(&node);
  }
  if (options_.note) note_channels();
}

bool Quantizer::excluded(const Node& node) const {
  return settings_.excluded(node) || contains(overflowing_, node.name);
}

void Quantizer::note(const std::string& layer, const std::string& text) const {
  if (options_.note) options_.note(layer, text);
}

Tensor Quantizer::quantize_one_weight(const Node& node, const Tensor& weight, int axis,
                                      bool per_channel) const {
  const auto observer =
      per_channel ? default_per_channel_weight_observer(axis)() : default_weight_observer()();
  observer->observe(weight);
  try {
    return quantize_weight(weight, *observer);
  } catch (const Error& e) {
    throw ValueError(fmt::format("quantize: the weight of '{}': {}", node.name, e.what()));
  }
}

void Quantizer::quantize_weights(bool finer) {
  const Graph& graph = network_.graph();
  const Uses uses(graph);
  const Excluded left_out = [this](const Node& node) { return excluded(node); };
  for (const Node& node : graph.nodes) {
    if (!has_weight(node) || !quantizable(graph, node, left_out)) continue;
    const Value& weight = graph.value(node.inputs[1]);
    if (weight.is_stored_as_int8()) continue;
    const WeightLayout layout = layout_of(graph, node);
    const int axis = channel_axis(node);
    const std::vector<float> bias = bias_of(graph, node);
    const auto input = calibrated_.activations.find(moved_from(graph, uses, node.inputs[0], left_out));
    const double input_scale = input == calibrated_.activations.end() ? 1 : input->second.qparams.scales[0];
    const bool asked = settings_.per_channel(node);
    for (const bool per_channel : {asked, true}) {
      if (per_channel != asked && !finer) continue;
      auto& kept = per_channel == asked ? weights_ : finer_weights_;
      if (kept.contains(node.name)) continue;
      Tensor quantized = quantize_one_weight(node, weight.constant, axis, per_channel);
      QParams q = quantized.qparams();
      // With grouped transposed weights, a scale belongs to the same channel of every group.
      std::vector<std::size_t> raised;
      for (std::size_t c = 0; c < bias.size(); ++c) {
        double& scale = q.scales[c % q.scales.size()];
        const double least = std::abs(static_cast<double>(bias[c])) / (input_scale * kLargestBias);
        if (scale >= least) continue;
        scale = static_cast<double>(
            std::nextafter(static_cast<float>(least), std::numeric_limits<float>::infinity()));
        raised.push_back(c);
      }
      if (!raised.empty()) {
        quantized = quantize_with(weight.constant, q);
        note(node.name, fmt::format("{}: weights so small beside their bias that it would leave int32; they "
                                    "have a larger scale",
                                    channel_list(raised, bias.size())));
      }
      const double bound = accumulator_bound(quantized, layout);
      if (bound > std::numeric_limits<std::int32_t>::max()) {
        overflowing_.push_back(node.name);
        note(node.name,
             fmt::format("stays float: sums over its {} products could reach {:.3g} and leave "
                         "int32; split its input channels to quantize it",
                         weight.constant.numel() / std::max<std::int64_t>(1, layout.out_channels), bound));
        break;
      }
      kept[node.name] = std::move(quantized);
    }
  }
}

void Quantizer::note_channels() const {
  const Graph& graph = network_.graph();
  for (const Node* node : layers_) {
    if (!has_weight(*node)) continue;
    const WeightLayout layout = layout_of(graph, *node);
    const auto channels = static_cast<std::size_t>(layout.out_channels);
    const std::vector<float> w = graph.value(node->inputs[1]).elements().to_vector<float>();
    std::vector<bool> alive(channels, false);
    for (std::size_t i = 0; i < w.size(); ++i) {
      const auto c = static_cast<std::size_t>(layout.out_of(static_cast<std::int64_t>(i)));
      alive[c] = alive[c] || w[i] != 0;
    }
    std::vector<std::size_t> empty;
    for (std::size_t c = 0; c < channels; ++c) {
      if (!alive[c]) empty.push_back(c);
    }
    if (!empty.empty()) {
      note(node->name,
           fmt::format("{}: all weights are 0; the result is the bias alone", channel_list(empty, channels)));
    }
    const auto seen = calibrated_.largest.find(node->name);
    if (seen == calibrated_.largest.end()) continue;
    std::vector<std::size_t> silent;
    for (std::size_t c = 0; c < std::min(channels, seen->second.size()); ++c) {
      if (alive[c] && seen->second[c] <= 0) silent.push_back(c);
    }
    if (!silent.empty()) {
      note(node->name, fmt::format("{}: 0 for all calibration data; is the data typical?",
                                   channel_list(silent, channels)));
    }
  }
}

Network Quantizer::build(const Precisions& precisions) const {
  const auto precision_of = [&](const Node& node) {
    const auto found = precisions.find(node.name);
    return found == precisions.end() ? Precision::as_asked : found->second;
  };
  const Excluded left_out = [&](const Node& node) {
    return excluded(node) || precision_of(node) == Precision::real;
  };
  Graph graph = network_.graph();
  ActivationMap activations;
  for (const ValueId v : activations_to_observe(graph, left_out)) {
    activations.emplace(v, calibrated_.activations.at(v));
  }
  insert_qdq(graph, activations, left_out, [&](const Node& node, const Tensor&, int) {
    const bool finer = precision_of(node) == Precision::per_channel && !settings_.per_channel(node);
    return finer ? finer_weights_.find(node.name)->second : weights_.find(node.name)->second;
  });
  if (options_.correct_bias) correct_biases(graph, network_, *batches_, options_);
  lower_qdq(graph);
  NetworkOptions prepared = network_.options();
  if (!options_.engine.empty()) prepared.engine = options_.engine;
  return {std::move(graph), prepared};
}

}  // namespace qconv::graph
