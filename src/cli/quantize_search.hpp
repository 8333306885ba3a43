#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <qconv/quantize_search.hpp>

#include "cli/dataset.hpp"
#include "cli/output.hpp"

namespace qconv::cli {

/// The options of 'qconv quantize' that repair a network and choose its layers.
struct RepairOptions {
  bool equalize = false;
  bool equalize_clips = false;
  bool correct_bias = false;
  bool sensitivity = false;
  std::string rounding = "nearest";
  std::string metric;
  double max_drop = std::numeric_limits<double>::quiet_NaN();
  double min_db = std::numeric_limits<double>::quiet_NaN();
  std::string eval;
  std::string eval_array;
  std::string labels;
  std::size_t eval_samples = 0;

  void add_to(CLI::App& app);
  /// Throws UsageError for options that do not go together.
  void check() const;
  void apply(QuantizeOptions& options) const;
  /// Whether no network is to be made.
  bool only_measures() const { return sensitivity; }
  bool searches() const;
  /// Whether calibration data is gone through more than once.
  bool needs_data_again() const { return correct_bias || sensitivity || rounding != "nearest" || searches(); }
  Metric chosen_metric() const;
};

/// What is quantized, and with what.
struct RepairJob {
  const Network& network;
  const std::filesystem::path& path;
  const Dataset& calibration;
  const Preprocessing& preprocessing;
  const RepairOptions& options;
};

/// A quantized network and what there is to say about it.
struct Repaired {
  std::optional<Network> network;
  std::vector<std::pair<std::string, std::string>> notes;  ///< layer, text
  std::optional<SearchResult> search;
  Metric metric = Metric::agreement;
  double limit = 0;

  void print() const;
  void add_to(Json& json) const;
};

/// quantize() or quantize_within(), with a progress bar.
Repaired quantize_repaired(const RepairJob& job, QuantizeOptions choices);
/// Prints what each layer costs, the most sensitive first.
void print_sensitivity(const RepairJob& job, QuantizeOptions choices, bool json);

}  // namespace qconv::cli
