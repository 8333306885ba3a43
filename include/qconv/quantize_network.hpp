#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/network.hpp>
#include <qconv/observers.hpp>
#include <qconv/state_dict.hpp>

namespace qconv {

/// The next batch of calibration data, one tensor per input of the network, or nothing at the end. Only one
/// batch is in memory at a time. After the end it starts over, for what needs the data more than once
/// (QuantizeOptions says what does); a source that cannot is a ValueError there.
using BatchSource = std::function<std::optional<std::vector<Tensor>>()>;

/// How weights become integers: each on its own, or all of an output channel together (docs/quantization.md).
enum class Rounding { nearest, adaptive };

/// What to do differently with some of the layers: those whose name and operator both fit. In patterns *
/// stands for any characters and ? for any one of them. An input of the network is a layer of its name with
/// the operator "Input", as far as observers go.
struct QuantizeRule {
  std::string layer = "*";
  std::string op = "*";
  /// Stay float, or do not although an exclusion or an earlier rule said so.
  std::optional<bool> exclude = {};
  /// Watches what the layers compute.
  ObserverFactory activation = {};
  /// The layers' weights.
  std::optional<bool> per_channel = {};
  /// What messages call this rule; "quantize: rules[2]" unless given.
  std::string where = {};
};

/// What quantize() can be told; the defaults suit most networks.
struct QuantizeOptions {
  /// Watches each activation; 8 bits, per tensor, quint8 or qint8. With rules some may be quint8 and others
  /// qint8: an addition or concatenation of both stays float.
  ObserverFactory activation = with_args<HistogramObserver>(ObserverOptions{});
  /// Weights: symmetric qint8 with a scale for each output channel, or with one for all.
  bool per_channel = true;
  /// Layers that stay float: by name, and by operator ("Gemm"), or by patterns of these, as "/layer1/*".
  /// Throws for one that nothing in the network fits. MaxPool, Reshape and the like give the same result on
  /// integers and may still run on them; so may an operation without weights (Add, AveragePool) between
  /// quantized layers, since QDQ ONNX writes that down in the same way.
  std::vector<std::string> exclude_layers = {};
  std::vector<std::string> exclude_ops = {};
  /// What to do differently for some layers. Of several that fit, the last one counts, for each setting on
  /// its own. Throws for a rule that fits no layer, or that sets an observer where nothing is observed.
  std::vector<QuantizeRule> rules = {};
  /// Makes the channels of consecutive layers equally wide first, without changing what they compute: for
  /// networks whose layers have channels of very different ranges.
  bool equalize = false;
  /// Lets equalization turn a ReLU6 between two layers into a ReLU, which changes the function where a value
  /// was above 6.
  bool equalize_clips = false;
  /// Adds to each bias what makes the mean of each channel over the calibration data that of the float
  /// network. Needs the data as many times as the network has layers in a row, and once more.
  bool correct_bias = false;
  /// `adaptive` needs the data up to three times, and more for networks with very wide layers.
  Rounding rounding = Rounding::nearest;
  /// Told about layers that deserve a look: channels without weights or that are never active, scales and
  /// sums that would leave their range. The first argument names the layer.
  std::function<void(const std::string& layer, const std::string& text)> note = {};
  /// Called while a step other than calibration goes on.
  std::function<void(std::string_view step, std::size_t done, std::size_t total)> on_step = {};
  /// For the quantized network, as in NetworkOptions; empty for the float network's.
  std::string engine = {};
  /// Called after each batch with the number of batches so far.
  std::function<void(std::size_t batches)> progress = {};
};

/// Runs the float network over the calibration data, chooses parameters for its activations and weights, and
/// returns the network with integer convolutions, linear layers, additions, concatenations, pooling, resizing
/// and limits. Operations that only move or compare elements (MaxPool, Flatten, Pad, ...) keep the parameters
/// of what they move; others stay float, with conversions around them.
///
/// Throws ValueError when there are no batches, when a layer saw no data or NaN (naming it), when nothing can
/// be quantized, or when the options name something that is not there.
QCONV_API Network quantize(const Network& network, const BatchSource& batches, const QuantizeOptions& = {});
/// The same for a network of one input.
QCONV_API Network quantize(const Network& network, std::span<const Tensor> batches,
                           const QuantizeOptions& = {});

/// What quantize() does, in pieces, for calibration in several processes or on several machines: each makes
/// one of the same network and options and observes its share of the data. Their states travel as any bytes
/// do, and one process merges them all.
///
///     Calibration share(network, options);  // each
///     share.observe(batches);
///     send(encode_safetensors(share.state_dict()));
///
///     Calibration all(network, options);  // one
///     for (const auto& bytes : received) all.merge_state(decode_safetensors(bytes));  // in a fixed order
///     Network quantized = all.quantize();
///
/// docs/calibration.md says for which observers the network is the one that a single process makes.
class QCONV_API Calibration {
 public:
  /// Throws ValueError when nothing can be quantized, or when the options name something that is not there.
  explicit Calibration(const Network& network, const QuantizeOptions& = {});
  ~Calibration();
  Calibration(Calibration&&) noexcept;
  Calibration& operator=(Calibration&&) noexcept;

  /// Runs the float network over the batches; there may be none. Throws ValueError when a layer saw NaN
  /// (naming it).
  void observe(const BatchSource& batches);
  /// What the observers saw: their states, each entry after the number of the activation ("3.min_val").
  StateDict state_dict() const;
  /// Adds the state of a calibration of the same network with the same options. Throws ValueError
  /// when it is of another one; then nothing has changed.
  void merge_state(const StateDict& state);
  /// The network for all that was seen. Throws ValueError when a layer saw no data (naming it).
  Network quantize() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How far a layer of one network is from the layer of the same name in another.
struct LayerDifference {
  std::string name;
  std::string op;
  /// 10 log10(sum of reference^2 / sum of difference^2): infinite when there is no difference.
  double sqnr_db = 0;
  /// Of the angle between the two results; 1 when both are zero throughout.
  double cosine = 1;
  double mean_abs_error = 0;
  double max_abs_error = 0;
  double reference_min = 0;
  double reference_max = 0;
};

/// Runs both networks over the data and compares the results of the layers whose names and sizes they share,
/// in the order in which `reference` runs them. Quantized results are dequantized first. Keeps the results of
/// one batch of `reference` in memory.
QCONV_API std::vector<LayerDifference> compare_layers(const Network& reference, const Network& other,
                                                      const BatchSource& batches);
QCONV_API std::vector<LayerDifference> compare_layers(const Network& reference, const Network& other,
                                                      std::span<const Tensor> batches);

}  // namespace qconv
