#include "graph/distribution.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace qconv::graph {
namespace {

ValueDistribution distribution(const std::vector<float>& values, std::size_t batch) {
  DistributionCounter counter;
  for (std::size_t i = 0; i < values.size(); i += batch) {
    counter.add(std::span(values).subspan(i, std::min(batch, values.size() - i)));
  }
  return counter.result();
}

std::vector<float> normal(std::size_t count, float mean, float deviation) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

TEST(Distribution, CountsEveryValueInItsBin) {
  for (const auto& [mean, deviation] : {std::pair{0.F, 1.F}, {-3.F, 0.01F}, {1e6F, 10.F}, {1e-30F, 1e-32F}}) {
    const std::vector<float> values = normal(5000, mean, deviation);
    const ValueDistribution d = distribution(values, 97);
    const ValueHistogram& h = d.histogram;
    SCOPED_TRACE(mean);
    EXPECT_EQ(d.count, values.size());
    EXPECT_EQ(d.min, static_cast<double>(*std::min_element(values.begin(), values.end())));
    EXPECT_EQ(d.max, static_cast<double>(*std::max_element(values.begin(), values.end())));
    ASSERT_LE(h.counts.size(), 128U);
    EXPECT_GT(h.counts.size(), 32U);
    EXPECT_EQ(std::exp2(std::round(std::log2(h.width))), h.width);
    for (std::size_t bin = 0; bin < h.counts.size(); ++bin) {
      const double low = h.first + h.width * static_cast<double>(bin);
      const auto inside = std::count_if(values.begin(), values.end(), [&](float v) {
        return static_cast<double>(v) >= low && static_cast<double>(v) < low + h.width;
      });
      ASSERT_EQ(h.counts[bin], static_cast<std::uint64_t>(inside)) << bin;
    }
  }
}

TEST(Distribution, DoesNotDependOnTheOrderOrTheBatches) {
  std::vector<float> values = normal(3000, 1, 2);
  const ValueDistribution expected = distribution(values, values.size());
  std::mt19937 random(5);
  for (const std::size_t batch : {1U, 7U, 1000U}) {
    std::shuffle(values.begin(), values.end(), random);
    const ValueDistribution d = distribution(values, batch);
    EXPECT_EQ(d.histogram.counts, expected.histogram.counts);
    EXPECT_EQ(d.histogram.first, expected.histogram.first);
    EXPECT_EQ(d.histogram.width, expected.histogram.width);
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(distribution(values, 1).histogram.counts, expected.histogram.counts);
}

TEST(Distribution, TakesWhatIsNoNumberAndNoRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(distribution({}, 1).histogram.counts.empty());
  const ValueDistribution zeros = distribution({0, 0, 0}, 1);
  EXPECT_EQ(zeros.histogram.counts, (std::vector<std::uint64_t>{3}));
  const ValueDistribution mixed = distribution({kInfinity, 2, std::nanf(""), -kInfinity, 2}, 2);
  EXPECT_EQ(mixed.count, 5U);
  EXPECT_EQ(mixed.not_finite, 3U);
  EXPECT_EQ(mixed.min, 2);
  EXPECT_EQ(mixed.max, 2);
  EXPECT_EQ(mixed.histogram.counts, (std::vector<std::uint64_t>{2}));
  const float most = std::numeric_limits<float>::max();
  const ValueDistribution extremes =
      distribution({0, std::numeric_limits<float>::denorm_min(), most, -most}, 1);
  EXPECT_LE(extremes.histogram.counts.size(), 128U);
  EXPECT_EQ(extremes.count, 4U);
}

}  // namespace
}  // namespace qconv::graph
