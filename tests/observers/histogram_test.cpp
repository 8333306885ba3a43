#include <cmath>
#include <numeric>
#include <random>

#include <gmock/gmock.h>

#include <qconv/error.hpp>
#include <qconv/observers.hpp>
#include <qconv/threads.hpp>

namespace qconv {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor floats(const std::vector<float>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

std::vector<float> normal(std::size_t count, std::uint64_t seed, float deviation = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> draw(0, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = draw(random);
  return values;
}

double total(const HistogramObserver& o) {
  return std::accumulate(o.histogram().begin(), o.histogram().end(), 0.0);
}

TEST(HistogramObserver, CountsEachValueOnce) {
  HistogramObserver observer({.bins = 4});
  observer.observe(floats({0, 0.99F, 1, 2, 3, 4}));
  EXPECT_THAT(observer.histogram(), testing::ElementsAre(2, 1, 1, 2));
  observer.observe(floats({1.5F, 3.5F}));
  EXPECT_THAT(observer.histogram(), testing::ElementsAre(2, 2, 1, 3));
}

TEST(HistogramObserver, SpreadsOldBinsWhenTheRangeGrows) {
  HistogramObserver observer({.bins = 2});
  observer.observe(floats({0, 2, 2, 2}));
  observer.observe(floats({4}));
  EXPECT_THAT(observer.histogram(), testing::ElementsAre(4, 1));
  EXPECT_EQ(observer.max_val(), 4);
}

TEST(HistogramObserver, CutsOffAnOutlier) {
  HistogramObserver observer;
  MinMaxObserver whole;
  std::vector<float> x = normal(1000000, 1);
  x[17] = 20;
  observer.observe(floats(x));
  whole.observe(floats(x));
  EXPECT_EQ(observer.max_val(), 20);
  EXPECT_LT(observer.calculate_qparams().qparams.scales[0],
            0.5 * whole.calculate_qparams().qparams.scales[0]);
}

TEST(HistogramObserver, LeavesOutInfinity) {
  HistogramObserver observer;
  observer.observe(floats({kInf, -kInf}));
  EXPECT_FALSE(observer.calibrated());
  observer.observe(floats({-1, kInf, 2}));
  EXPECT_EQ(observer.min_val(), -1);
  EXPECT_EQ(observer.max_val(), 2);
  EXPECT_EQ(total(observer), 2);
}

TEST(HistogramObserver, RefusesNanAndKeepsWhatItHad) {
  HistogramObserver observer;
  observer.observe(floats({1, 2}));
  EXPECT_THAT(
      [&] {
        observer.observe(floats({0, std::nanf("")}));
      },
      ThrowsMessage<ValueError>(HasSubstr("holds NaN")));
  EXPECT_EQ(observer.min_val(), 1);
  EXPECT_EQ(total(observer), 2);
}

TEST(HistogramObserver, TakesConstantsOfAnySize) {
  for (const float value : {0.0F, 0.75F, -5.0F, 1e8F, 3e38F}) {
    HistogramObserver observer;
    MinMaxObserver whole;
    observer.observe(floats({value, value, value}));
    whole.observe(floats({value}));
    EXPECT_EQ(total(observer), 3) << value;
    EXPECT_EQ(observer.calculate_qparams().qparams, whole.calculate_qparams().qparams) << value;
  }
}

TEST(HistogramObserver, RefusesARangeWithoutAFloatWidth) {
  HistogramObserver observer;
  observer.observe(floats({-3e38F, 0, 3e38F}));
  EXPECT_THROW(observer.calculate_qparams(), ValueError);
}

TEST(HistogramObserver, IsTheSameForEveryLayoutAndThreadCount) {
  const Tensor x = Tensor::from_data(normal(2 * 8 * 100 * 200, 3), {2, 8, 100, 200});
  const int threads = get_num_threads();
  HistogramObserver expected;
  set_num_threads(1);
  expected.observe(x);
  for (const int count : {2, 5}) {
    set_num_threads(count);
    for (const Tensor& same : {x, x.contiguous(MemoryFormat::channels_last), x.permute({3, 0, 2, 1})}) {
      HistogramObserver observer;
      observer.observe(same);
      EXPECT_TRUE(
          std::equal(observer.histogram().begin(), observer.histogram().end(), expected.histogram().begin()));
      EXPECT_EQ(observer.calculate_qparams().qparams, expected.calculate_qparams().qparams);
    }
  }
  set_num_threads(threads);
}

TEST(HistogramObserver, MergesEqualRangesExactly) {
  std::vector<float> a = normal(5000, 4);
  std::vector<float> b = normal(3000, 5);
  a[0] = b[0] = -9;
  a[1] = b[1] = 9;
  HistogramObserver first;
  HistogramObserver second;
  HistogramObserver both;
  first.observe(floats(a));
  second.observe(floats(b));
  both.observe(floats(a));
  both.observe(floats(b));
  first.merge(second);
  EXPECT_TRUE(std::equal(both.histogram().begin(), both.histogram().end(), first.histogram().begin()));
  EXPECT_EQ(first.calculate_qparams().qparams, both.calculate_qparams().qparams);
}

TEST(HistogramObserver, MergeKeepsTheCountOfASingleValue) {
  HistogramObserver constant;
  HistogramObserver spread;
  constant.observe(floats(std::vector<float>(50, 0.75F)));
  spread.observe(floats(normal(1000, 6)));
  constant.merge(spread);
  EXPECT_EQ(total(constant), 1050);
}

TEST(HistogramObserver, ChecksItsOptions) {
  EXPECT_THROW(HistogramObserver({.bins = 0}), ValueError);
  EXPECT_THROW(HistogramObserver({.bins = 1 << 30}), ValueError);
  EXPECT_THROW(HistogramObserver({.qscheme = QScheme::per_channel_affine}), TypeError);
  EXPECT_NO_THROW(HistogramObserver({.bins = 1}).observe(floats({1, 2})));
}

}  // namespace
}  // namespace qconv
