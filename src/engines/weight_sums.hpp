#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <qconv/conv_problem.hpp>

namespace qconv::engines {

/// How far the weights of an output channel lie from their zero point: sums of |w - zero_point|, apart by the
/// sign of w - zero_point. They bound its accumulators.
struct WeightSums {
  std::int64_t positive = 0;
  std::int64_t negative = 0;

  std::int64_t magnitude() const noexcept { return positive + negative; }
};

/// One per output channel, of weights in PyTorch's layout.
std::vector<WeightSums> weight_sums(const ConvGeometry& geometry, const std::int8_t* weights,
                                    std::span<const std::int32_t> zero_points);

}  // namespace qconv::engines
