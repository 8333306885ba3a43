#pragma once

#include <string>
#include <vector>

#include "cli/network_tools.hpp"
#include "cli/timing.hpp"

namespace qconv::cli {

/// The time that one layer, or a whole network, took.
struct LayerTiming {
  std::string name;
  std::string engine;  ///< empty where no engine is involved
  std::string kernel;
  Timing timing;
  std::int64_t multiply_adds;
};

/// Times a network layer by layer on random inputs of these sizes: once to warm up, then for at least half a
/// second and 5 runs. The last entry, "total", is the whole run.
std::vector<LayerTiming> time_network(const Network& network, const std::vector<Shape>& input_sizes);

/// The sizes to run a network with: `text` ("1x3x224x224"), or what its only input says, with a batch of 1
/// where that is open. Throws UsageError when neither decides them.
std::vector<Shape> bench_sizes(const Network& network, const std::string& file, const std::string& text);

}  // namespace qconv::cli
