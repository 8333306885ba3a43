#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace qconv::cli {

/// Where and how convolutions run; empty or 0 leaves the choice to the environment and the library.
struct RuntimeOptions {
  int threads = 0;
  std::string isa;
  std::string engine;

  /// Declares --threads, --isa and --engine.
  void add_to(CLI::App& app);
  /// Makes them the process's choice; to be called before the library is first used. Throws UsageError for
  /// an engine or instruction set that is not there, and ValueError for one that the environment names.
  void apply() const;
};

}  // namespace qconv::cli
