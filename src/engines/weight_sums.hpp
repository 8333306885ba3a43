// How far the weights of a channel lie from their zero point, summed up: what bounds an accumulator.
#pragma once

#include <algorithm>
#include <cstdint>

namespace qconv::engines {

/// Sums of |w - zero_point|, apart by the sign of w - zero_point.
struct WeightSums {
  std::int64_t positive = 0;
  std::int64_t negative = 0;

  std::int64_t magnitude() const noexcept { return positive + negative; }
};

inline WeightSums weight_sums(const std::int8_t* weights, std::int64_t count,
                              std::int32_t zero_point) noexcept {
  constexpr std::int64_t kBlock = 1 << 20;  // times 255 fits in int32, which compilers make fast vectors of
  WeightSums sums;
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t end = std::min(count, first + kBlock);
    std::int32_t positive = 0;
    std::int32_t negative = 0;
    for (std::int64_t i = first; i < end; ++i) {
      const std::int32_t w = weights[i] - zero_point;
      positive += std::max(w, 0);
      negative += std::max(-w, 0);
    }
    sums.positive += positive;
    sums.negative += negative;
  }
  return sums;
}

}  // namespace qconv::engines
