#pragma once

#include <cstdint>

namespace qconv {

/// One step of PyTorch's moving average; every operation rounds to float32.
inline float moved(float average, float value, double constant) {
  const float step = static_cast<float>(constant) * (value - average);
  return average + step;
}

/// The mean of two averages, weighted by the number of batches in each.
inline float weighted_mean(float a, std::int64_t count_a, float b, std::int64_t count_b) {
  const double sum = static_cast<double>(a) * static_cast<double>(count_a) +
                     static_cast<double>(b) * static_cast<double>(count_b);
  return static_cast<float>(sum / static_cast<double>(count_a + count_b));
}

}  // namespace qconv
