#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/network.hpp>
#include <qconv/quantize_network.hpp>

namespace qconv {

/// How far one result is from another, over all elements of all batches.
struct ErrorFigures {
  /// 10 log10(sum of reference^2 / sum of difference^2): infinite when there is no difference.
  double sqnr_db = 0;
  /// Of the angle between the two; 1 when both are zero throughout.
  double cosine = 1;
  double mean_abs_error = 0;
  double max_abs_error = 0;
};

/// How often values lie where: bin i holds those in [first + i * width, first + (i + 1) * width). The width
/// is a power of two and `first` a multiple of it.
struct ValueHistogram {
  double first = 0;
  double width = 0;
  std::vector<std::uint64_t> counts;
};

/// Float values: where they lie and how often.
struct ValueDistribution {
  std::uint64_t count = 0;
  std::uint64_t not_finite = 0;  ///< of them; in neither the range nor the histogram
  double min = 0;
  double max = 0;
  ValueHistogram histogram;
};

/// The integers that were chosen for an activation, and what they leave out.
struct QuantizedRange {
  double scale = 1;
  std::int64_t zero_point = 0;
  /// The least and the greatest number that they stand for.
  double low = 0;
  double high = 0;
  /// Shares of the float values that lie more than half a step outside.
  double clipped_below = 0;
  double clipped_above = 0;
};

/// The weight of a convolution or linear layer, before and after.
struct WeightReport {
  DType dtype = float32;
  Shape sizes;
  ValueDistribution values;    ///< of the float weight
  std::vector<double> scales;  ///< one for each output channel, or one for all; empty for a float weight
  std::optional<double> sqnr_db;
};

/// One layer of the network that is judged.
struct LayerReport {
  LayerInfo info;
  /// Who made its inputs: the index of a layer, or -1 - i for input i of the network.
  std::vector<int> sources;
  /// The layer of the reference whose result this one stands for; empty when there is none.
  std::string reference;
  /// Its result in a run of the whole network: what all layers so far did.
  std::optional<ErrorFigures> accumulated;
  /// Its result when its inputs are the reference's, quantized: what this layer does alone. Only of layers
  /// with a quantized result.
  std::optional<ErrorFigures> local;
  /// Of the reference's result; of its own where there is no reference.
  ValueDistribution values;
  std::optional<QuantizedRange> range;
  std::optional<WeightReport> weight;
  /// Medians of the timed runs; nothing without them.
  std::optional<double> microseconds;
  std::optional<double> reference_microseconds;
  std::string reference_kernel;  ///< or the library, where it names no kernel
};

/// One output of the whole network.
struct OutputReport {
  std::string name;
  ErrorFigures error;
  /// Where the output is a row of class scores for each sample: how many there were, and for how many both
  /// networks have the same greatest score.
  std::optional<std::uint64_t> samples;
  std::uint64_t same_top1 = 0;
};

/// One of the two networks.
struct NetworkSide {
  std::string name;              ///< what people call it: the graph's name, or a file's
  std::uint64_t file_bytes = 0;  ///< 0 when not known
  std::size_t weight_bytes = 0;
  std::int64_t parameters = 0;
  std::size_t activation_bytes = 0;  ///< peak memory between layers, for the sizes of the first batch
  std::optional<double> microseconds;
};

/// A network set against the one that it was made of, layer by layer.
struct NetworkReport {
  NetworkSide reference;
  NetworkSide other;
  std::string data;  ///< what people call the samples; analyze() leaves it empty
  std::uint64_t batches = 0;
  std::uint64_t samples = 0;  ///< the sum of the first sizes of the first inputs
  std::size_t timed_runs = 0;
  std::vector<ValueInfo> inputs;
  std::vector<OutputReport> outputs;
  /// In the order in which they run.
  std::vector<LayerReport> layers;
};

/// What analyze() can be told.
struct AnalyzeOptions {
  /// How long to run both networks on the first batch for their times: three times each at least, a thousand
  /// times at most, and not at all for 0.
  double timing_seconds = 1;
};

/// Runs both networks over the data and sets each layer of `other` against the layer of the same name in
/// `reference`. Quantize, Dequantize and limits that stand alone in `other` are set against what they are
/// applied to. Memory does not grow with the number of batches: one batch of the reference's results is kept.
///
/// Throws ValueError when there are no batches, or when the networks' inputs or outputs differ in number.
QCONV_API NetworkReport analyze(const Network& reference, const Network& other, const BatchSource& batches,
                                const AnalyzeOptions& = {});

/// The report as JSON (docs/cli.md lists the members), in ASCII: other bytes of names are escaped, and those
/// that are not UTF-8 replaced.
QCONV_API std::string report_json(const NetworkReport& report);
/// The report as one HTML page that needs nothing else: style, script and data are in it.
QCONV_API std::string report_html(const NetworkReport& report);
/// Writes report.json and report.html into the folder, each atomically; makes the folder if only that is
/// missing. Throws FileError.
QCONV_API void save_report(const NetworkReport& report, const std::filesystem::path& folder);

}  // namespace qconv
