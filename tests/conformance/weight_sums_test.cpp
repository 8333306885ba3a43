// Sums of weights by sign, whatever their number and zero point, against plain loops.
#include "engines/weight_sums.hpp"

#include <random>

#include <gtest/gtest.h>

namespace qconv {
namespace {

TEST(WeightSums, AreThoseOfPlainLoops) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> any(-128, 127);
  for (const std::int64_t channels : {1, 2, 15, 16, 17, 31, 100, 4079, 4080, 4081, 9000}) {
    for (const bool extreme : {false, true}) {
      ConvGeometry g;
      g.ndim = 1;
      g.in_channels = channels;
      g.out_channels = 3;
      std::vector<std::int8_t> weights(static_cast<std::size_t>(3 * channels));
      for (auto& w : weights) w = static_cast<std::int8_t>(extreme ? -128 : any(random));
      const std::vector<std::int32_t> zero_points{0, extreme ? 127 : -5, 0};
      const std::vector<engines::WeightSums> sums = engines::weight_sums(g, weights.data(), zero_points);
      ASSERT_EQ(sums.size(), 3U);
      for (std::size_t oc = 0; oc < 3; ++oc) {
        std::int64_t positive = 0;
        std::int64_t negative = 0;
        for (std::int64_t i = 0; i < channels; ++i) {
          const int w = weights[oc * static_cast<std::size_t>(channels) + static_cast<std::size_t>(i)] -
                        zero_points[oc];
          (w > 0 ? positive : negative) += std::abs(w);
        }
        EXPECT_EQ(sums[oc].positive, positive) << channels;
        EXPECT_EQ(sums[oc].negative, negative) << channels;
      }
    }
  }
}

}  // namespace
}  // namespace qconv
