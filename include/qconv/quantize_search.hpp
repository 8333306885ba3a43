#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/network.hpp>
#include <qconv/quantize_network.hpp>

namespace qconv {

/// How good a network is, beside the float network it was made of.
struct Quality {
  /// Over all results: 10 log10(sum of float^2 / sum of difference^2), and the same with the square of the
  /// range of the float results for the signal; infinite when there is no difference.
  double sqnr_db = 0;
  double psnr_db = 0;
  double cosine = 1;
  double mse = 0;
  /// Percent of the decisions (the largest along dimension 1 of the first result, for each sample and each
  /// pixel) that are those of the float network. NaN where there is nothing to decide.
  double agreement = std::numeric_limits<double>::quiet_NaN();
  /// Percent of the samples whose label has the largest score; NaN without labels.
  double top1 = std::numeric_limits<double>::quiet_NaN();
  std::size_t samples = 0;
};

/// What a network is held to: `top1` and `agreement` count in points of percent lost, `sqnr` and `psnr` in dB
/// that must be left.
enum class Metric { top1, agreement, sqnr, psnr };
QCONV_API std::string_view to_string(Metric metric) noexcept;

/// How networks are judged.
struct SearchOptions {
  QuantizeOptions quantize = {};
  /// What they are judged on; empty for the calibration data. Starts over after its end, as BatchSource says.
  /// The results of the float network for it are kept in memory.
  BatchSource evaluation = {};
  /// The class of each sample of the evaluation data, in order; or none.
  std::vector<std::int64_t> labels = {};
  Metric metric = Metric::agreement;
  /// For `top1` and `agreement`, the most points that may be lost; for `sqnr` and `psnr`, the least dB.
  double limit = 1;
  /// Called after each network that was judged, and what it was for.
  std::function<void(std::string_view what, std::size_t evaluations)> progress = {};
};

/// What quantizing one layer costs.
struct LayerSensitivity {
  std::string name;
  std::string op;
  /// Only this layer in int8.
  Quality alone;
  /// This layer and all before it.
  Quality up_to_here;
};

/// Judges the network with each layer that quantize() would quantize, alone and together with those before
/// it, in the order in which they run. Calibrates once. Throws what quantize() throws, and ValueError when
/// the labels do not fit.
QCONV_API std::vector<LayerSensitivity> sensitivity(const Network& network, const BatchSource& batches,
                                                    const SearchOptions& options = {});

/// A layer that quantize_within() does not compute as the options ask.
struct KeptLayer {
  std::string name;
  std::string op;
  /// In float; else in int8 with a weight scale per channel, where one for all was asked.
  bool real = true;
  /// Only this layer in int8.
  Quality alone;
};

struct SearchResult {
  Network network;
  Quality quality;
  /// Everything as the options ask.
  Quality unrestricted;
  /// Of the float network, for its top1.
  Quality real;
  std::vector<KeptLayer> kept;  ///< the most sensitive first
  std::size_t layers = 0;       ///< that could be quantized
  std::size_t evaluations = 0;
};

/// Quantizes as many layers as `metric` and `limit` allow. Ranks the layers by the SQNR of the network with
/// only this one in int8, finds by bisection how many of the most sensitive must be kept, and then tries each
/// of those again, the least sensitive first. With one weight scale per tensor asked, a scale per channel is
/// tried before float.
///
/// The search is greedy: no single kept layer could be quantized as well, but another choice might keep
/// fewer. Throws ValueError when the limit only holds with no layer quantized, or the metric needs what is
/// not there.
QCONV_API SearchResult quantize_within(const Network& network, const BatchSource& batches,
                                       const SearchOptions& options);

}  // namespace qconv
