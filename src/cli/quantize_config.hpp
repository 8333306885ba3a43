#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <qconv/quantize_network.hpp>

namespace qconv::cli {

/// How ranges of activations are found.
struct ObserverChoice {
  std::string observer = "histogram";
  std::string activations = "quint8";
  /// Of the percentile observer alone; 99.99 when not given.
  std::optional<double> percentile;

  /// Declares --observer, --percentile and --activations.
  void add_to(CLI::App& app);
  /// Throws UsageError for a percentile with another observer.
  ObserverFactory make() const;
};

/// The rules of a file such as {"rules": [{"name": "/stem/*", "op": "Conv", "exclude": true}, ...]};
/// docs/cli.md lists the keys. What a rule leaves open about its observer is as in `defaults`. Throws
/// FileError, one line that names the file and the rule.
std::vector<QuantizeRule> read_rules(const std::filesystem::path& path, const ObserverChoice& defaults);

}  // namespace qconv::cli
