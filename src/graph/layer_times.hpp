#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <qconv/network.hpp>

namespace qconv::graph {

/// Medians over several runs, in microseconds.
struct LayerTimes {
  std::vector<std::pair<std::string, double>> layers;  ///< by name, in the order in which they run
  double total = 0;
};

/// The times of two networks on the same inputs.
struct TwoTimes {
  LayerTimes first;
  LayerTimes second;
  std::size_t runs = 0;
};

/// Once each to warm up, then turn by turn, so that a disturbance hits both, for so many seconds: at least 3
/// runs and at most 1000.
TwoTimes time_layers(const Network& first, const Network& second, std::span<const Tensor> inputs,
                     double seconds);

}  // namespace qconv::graph
