#pragma once

#include <map>
#include <string>
#include <vector>

#include <qconv/quantize_network.hpp>

#include "graph/passes/passes.hpp"
#include "graph/quantize_rules.hpp"

namespace qconv::graph {

/// The ranges of activations as parameters, by value.
using ActivationMap = std::map<ValueId, ActivationParams>;

/// What the calibration data showed.
struct Calibrated {
  ActivationMap activations;
  /// By name of a layer with a ReLU: the largest result of each of its channels.
  std::map<std::string, std::vector<float>, std::less<>> largest;
};

/// Runs the network over the data and watches `values`. `watch_channels` fills Calibrated::largest. Throws as
/// quantize() does.
Calibrated calibrate(const Network& network, const BatchSource& batches, const QuantizeOptions& options,
                     const std::vector<ValueId>& values, const LayerSettings& settings, bool watch_channels);

/// The network itself, or what equalization makes of it where the options ask for that.
Network equalized(const Network& network, const QuantizeOptions& options);
/// The activations that calibration watches. Throws ValueError when nothing can be quantized.
std::vector<ValueId> watched_values(const Network& network, const LayerSettings& settings);

/// How a layer of a quantized network computes.
enum class Precision { as_asked, per_channel, real };
/// Layers that differ from what the options ask, by name.
using Precisions = std::map<std::string, Precision, std::less<>>;

/// A network that was calibrated once, from which networks with any choice of quantized layers are made.
class Quantizer {
 public:
  /// Equalizes, calibrates and rounds the weights, as the options say. The references must stay valid.
  /// `finer` says that Precision::per_channel may be asked for.
  Quantizer(const Network& network, const BatchSource& batches, const QuantizeOptions& options,
            bool finer = false);

  /// The same of a network that was equalized and calibrated already, where the options need the data no
  /// more.
  Quantizer(const Network& network, Calibrated calibrated, const QuantizeOptions& options);

  /// The float network that is quantized: the one given, or what equalization made of it.
  const Network& network() const noexcept { return network_; }
  /// The layers that are quantized unless a Precision says otherwise, in the order in which they run.
  const std::vector<const Node*>& layers() const noexcept { return layers_; }
  /// With biases corrected where the options ask for it.
  Network build(const Precisions& precisions = {}) const;

 private:
  void prepare(bool finer);
  bool excluded(const Node& node) const;
  void note(const std::string& layer, const std::string& text) const;
  void quantize_weights(bool finer);
  Tensor quantize_one_weight(const Node& node, const Tensor& weight, int axis, bool per_channel) const;
  void note_channels() const;

  Network network_;
  const BatchSource* batches_;  // null when there are none
  const QuantizeOptions& options_;
  LayerSettings settings_;
  Calibrated calibrated_;
  std::vector<const Node*> layers_;
  /// By name: of all layers with a weight, as asked, and with a scale per channel where that is not asked.
  std::map<std::string, Tensor, std::less<>> weights_;
  std::map<std::string, Tensor, std::less<>> finer_weights_;
  std::vector<std::string> overflowing_;  // stay float
};

}  // namespace qconv::graph
