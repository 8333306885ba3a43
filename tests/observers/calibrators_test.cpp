// The calibrators against their definitions, written out once more here as plainly as they can be.
#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>
#include <qconv/observers.hpp>

namespace qconv {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor floats(const std::vector<float>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

// Numbers that look random, the same every time.
class Random {
 public:
  explicit Random(std::uint32_t seed) : state_(seed * 2654435761U + 1) {}
  double uniform() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (static_cast<double>(state_ >> 33) + 0.5) / 2147483648.0;
  }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()); }

 private:
  std::uint64_t state_;
};

enum class Kind { normal, relu, tail, shifted, negative };

std::vector<float> sample(Kind kind, int count, std::uint32_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int i = 0; i < count; ++i) {
    const double x = random.normal();
    switch (kind) {
      case Kind::normal:
        values.push_back(static_cast<float>(x));
        break;
      case Kind::relu:
        values.push_back(static_cast<float>(std::max(x, 0.0)));
        break;
      case Kind::tail:
        values.push_back(static_cast<float>(x * x * x));
        break;
      case Kind::shifted:
        values.push_back(static_cast<float>(x + 1.5));
        break;
      case Kind::negative:
        values.push_back(static_cast<float>(-std::abs(x) * 1e-3));
        break;
    }
  }
  return values;
}

constexpr Kind kKinds[] = {Kind::normal, Kind::relu, Kind::tail, Kind::shifted, Kind::negative};

template <class O>
O observed(const std::vector<float>& values, const ObserverOptions& options = {}) {
  O observer(options);
  observer.observe(floats(values));
  return observer;
}

// How many values bin k of the number line holds, -bins <= k < bins.
std::int64_t count_of(const StreamingHistogram& h, int k) {
  return k >= 0 ? h.positive()[static_cast<std::size_t>(k)] : h.negative()[static_cast<std::size_t>(-1 - k)];
}

int used(std::span<const std::int64_t> counts) {
  for (std::size_t i = counts.size(); i > 0; --i) {
    if (counts[i - 1] != 0) return static_cast<int>(i);
  }
  return 0;
}

TEST(PercentileObserver, HoldsItsShareOfTheValues) {
  for (const Kind kind : kKinds) {
    for (const double percentile : {50.0, 90.0, 99.0, 99.9, 99.99}) {
      std::vector<float> values = sample(kind, 20000, 1);
      const auto observer = observed<PercentileObserver>(values, {.percentile = percentile});
      std::sort(values.begin(), values.end());
      const bool two_sided = values.front() < 0 && values.back() > 0;
      const double end = (1 - percentile / 100) / (two_sided ? 2 : 1) * 20000;
      const auto at = [&](double rank) {
        return static_cast<double>(values[static_cast<std::size_t>(std::clamp(rank, 0.0, 19999.0))]);
      };
      const double width = observer.histogram().bin_width();
      const auto range = observer.range();
      if (values.front() < 0) {
        EXPECT_GE(range.min, std::min(0.0, at(end - 1)) - width) << percentile;
        EXPECT_LE(range.min, std::min(0.0, at(end + 1)) + width) << percentile;
      } else {
        EXPECT_EQ(range.min, 0);
      }
      if (values.back() > 0) {
        EXPECT_GE(range.max, at(20000 - end - 1) - width) << percentile;
        EXPECT_LE(range.max, at(20000 - end + 1) + width) << percentile;
      } else {
        EXPECT_EQ(range.max, 0);
      }
    }
  }
}

TEST(PercentileObserver, HoldsItsShareOfTheMagnitudesWhenSymmetric) {
  std::vector<float> values = sample(Kind::shifted, 20000, 2);
  const auto observer = observed<PercentileObserver>(
      values, {.dtype = qint8, .qscheme = QScheme::per_tensor_symmetric, .percentile = 99});
  for (float& v : values) v = std::abs(v);
  std::sort(values.begin(), values.end());
  EXPECT_NEAR(observer.range().max, values[19799], 2 * observer.histogram().bin_width());
}

TEST(PercentileObserver, AllOfThemIsMinMax) {
  for (const Kind kind : kKinds) {
    const std::vector<float> values = sample(kind, 1000, 3);
    EXPECT_EQ(observed<PercentileObserver>(values, {.percentile = 100}).calculate_qparams().qparams,
              observed<MinMaxObserver>(values).calculate_qparams().qparams);
  }
}

TEST(PercentileObserver, CountsByHand) {
  // 16 bins of width 1/2 up to 8: half of the values are 0, the rest one to a bin from [0.5, 1) on.
  std::vector<float> values(10, 0.0F);
  for (int i = 1; i <= 10; ++i) values.push_back(0.5F * static_cast<float>(i) + 0.25F);
  const auto max_of = [&](double percentile) {
    return observed<PercentileObserver>(values, {.bins = 16, .percentile = percentile}).range().max;
  };
  EXPECT_FLOAT_EQ(max_of(75), 3);       // 15 values: the end of the fifth bin, [2.5, 3)
  EXPECT_FLOAT_EQ(max_of(77.5), 3.25);  // half a value into the sixth
  EXPECT_FLOAT_EQ(max_of(100), 5.25);   // not past the largest
  EXPECT_FLOAT_EQ(max_of(40), 5.25);    // all but the zeros would be cut off
}

// KL divergence as its definition has it, with the distributions written out.
double divergence(const StreamingHistogram& h, int begin, int end, int levels) {
  std::vector<double> reference;
  std::vector<double> inside;
  for (int k = begin; k < end; ++k) {
    inside.push_back(k >= -h.bins() && k < h.bins() ? static_cast<double>(count_of(h, k)) : 0);
  }
  reference = inside;
  for (int k = -h.bins(); k < h.bins(); ++k) {
    if (k < begin) reference.front() += static_cast<double>(count_of(h, k));
    if (k >= end) reference.back() += static_cast<double>(count_of(h, k));
  }
  const auto n = static_cast<int>(inside.size());
  std::vector<double> level_sum(static_cast<std::size_t>(levels));
  std::vector<double> level_used(static_cast<std::size_t>(levels));
  const auto level_of = [&](int j) { return static_cast<std::size_t>(j * levels / n); };
  double total = 0;
  double inside_total = 0;
  for (int j = 0; j < n; ++j) {
    const auto i = static_cast<std::size_t>(j);
    level_sum[level_of(j)] += inside[i];
    level_used[level_of(j)] += reference[i] > 0 ? 1 : 0;
    total += reference[i];
    inside_total += inside[i];
  }
  double sum = 0;
  for (int j = 0; j < n; ++j) {
    const double p = reference[static_cast<std::size_t>(j)] / total;
    if (p == 0) continue;
    const double q = level_sum[level_of(j)] / level_used[level_of(j)] / inside_total;
    if (!(q > 0)) return kInfinity;
    sum += p * std::log(p / q);
  }
  return sum;
}

TEST(EntropyObserver, FindsTheThresholdOfTheLeastDivergence) {
  for (const Kind kind : kKinds) {
    for (const bool symmetric : {false, true}) {
      ObserverOptions options{.dtype = qint8, .quant_min = -8, .quant_max = 7, .bins = 128};
      if (symmetric) options.qscheme = QScheme::per_tensor_symmetric;
      const auto observer = observed<EntropyObserver>(sample(kind, 5000, 4), options);
      const StreamingHistogram& h = observer.histogram();
      const int below = used(h.negative());
      const int above = used(h.positive());
      double least = kInfinity;
      double chosen = kInfinity;
      const auto range = observer.range();
      for (int t = 1; t <= std::max(below, above); ++t) {
        const int begin = symmetric ? -t : -std::min(t, below);
        const int end = symmetric ? t : std::min(t, above);
        if (end - begin < 16) continue;
        const double d = divergence(h, begin, end, 16);
        least = std::min(least, d);
        const auto edge = static_cast<float>(t * h.bin_width());
        if (range.min == std::max(-edge, std::min(h.min(), 0.0F)) &&
            range.max == std::min(edge, std::max(h.max(), 0.0F))) {
          chosen = d;
        }
      }
      EXPECT_NEAR(chosen, least, 1e-12);
      EXPECT_LT(least, kInfinity);
    }
  }
}

TEST(EntropyObserver, CutsOffAnOutlierAndKeepsWhatIsDense) {
  std::vector<float> values = sample(Kind::relu, 100000, 5);
  const float largest = *std::max_element(values.begin(), values.end());
  values.push_back(4 * largest);
  const auto range = observed<EntropyObserver>(values).range();
  EXPECT_LT(range.max, 1.1F * largest);
  EXPECT_GT(range.max, 0.5F * largest);
  std::vector<float> uniform;
  Random random(6);
  for (int i = 0; i < 500000; ++i) uniform.push_back(static_cast<float>(random.uniform()));
  EXPECT_GT(observed<EntropyObserver>(uniform).range().max, 0.98F);
}

// The mean square error of quantizing the histogram's contents, by summing over many points of each bin.
double square_error(const Observer& observer, const StreamingHistogram& h, Calibrator::Range range) {
  MinMaxObserver parameters(observer.options());
  parameters.observe(floats({range.min, range.max}));
  const QParams q = parameters.calculate_qparams().qparams;
  constexpr int kPoints = 64;
  double sum = 0;
  for (int k = -h.bins(); k < h.bins(); ++k) {
    const std::int64_t count = count_of(h, k);
    for (int i = 0; count > 0 && i < kPoints; ++i) {
      const double x = (k + (i + 0.5) / kPoints) * h.bin_width();
      const double integer =
          std::clamp(std::nearbyint(x / q.scales[0]) + static_cast<double>(q.zero_points[0]),
                     static_cast<double>(observer.quant_min()), static_cast<double>(observer.quant_max()));
      const double error = x - (integer - static_cast<double>(q.zero_points[0])) * q.scales[0];
      sum += static_cast<double>(count) * error * error / kPoints;
    }
  }
  return sum;
}

TEST(MSEObserver, NoThresholdHasALessError) {
  for (const Kind kind : kKinds) {
    for (const bool symmetric : {false, true}) {
      ObserverOptions options{.dtype = qint8, .quant_min = -8, .quant_max = 7, .bins = 64};
      if (symmetric) options.qscheme = QScheme::per_tensor_symmetric;
      const auto observer = observed<MSEObserver>(sample(kind, 5000, 7), options);
      const StreamingHistogram& h = observer.histogram();
      const auto chosen = observer.range();
      const double error = square_error(observer, h, chosen);
      const float min = std::min(h.min(), 0.0F);
      const float max = std::max(h.max(), 0.0F);
      EXPECT_LE(error, square_error(observer, h, {min, max}) * 1.001);
      for (int t = 1; t <= 64; ++t) {
        const auto edge = static_cast<float>(t * h.bin_width());
        const Calibrator::Range both{std::max(min, -edge), std::min(max, edge)};
        const Calibrator::Range high{chosen.min, both.max};
        const Calibrator::Range low{both.min, chosen.max};
        EXPECT_LE(error, square_error(observer, h, both) * 1.001) << t;
        if (symmetric) continue;
        EXPECT_LE(error, square_error(observer, h, high) * 1.001) << t;
        EXPECT_LE(error, square_error(observer, h, low) * 1.001) << t;
      }
    }
  }
}

TEST(MSEObserver, IsBetterOnTheDataThanTheWholeRange) {
  const auto error_of = [](const std::vector<float>& values, const Observer& observer) {
    const QParams q = observer.calculate_qparams().qparams;
    double sum = 0;
    for (const float v : values) {
      const double integer = std::clamp(
          std::nearbyint(static_cast<double>(v) / q.scales[0]) + static_cast<double>(q.zero_points[0]), 0.0,
          255.0);
      const double error =
          static_cast<double>(v) - (integer - static_cast<double>(q.zero_points[0])) * q.scales[0];
      sum += error * error;
    }
    return sum;
  };
  for (const Kind kind : kKinds) {
    const std::vector<float> values = sample(kind, 50000, 8);
    const double best = error_of(values, observed<MSEObserver>(values));
    EXPECT_LE(best, error_of(values, observed<MinMaxObserver>(values)) * 1.02);
    EXPECT_LE(best, error_of(values, observed<HistogramObserver>(values)) * 1.02);
    EXPECT_LE(best, error_of(values, observed<EntropyObserver>(values)) * 1.02);
  }
}

template <class O>
class AnyCalibrator : public testing::Test {};
using Calibrators = testing::Types<PercentileObserver, EntropyObserver, MSEObserver>;
TYPED_TEST_SUITE(AnyCalibrator, Calibrators);

TYPED_TEST(AnyCalibrator, TakesConstantsAndZeros) {
  for (const float value : {0.0F, 0.75F, -5.0F, 1e-38F, 3e38F}) {
    EXPECT_EQ(observed<TypeParam>({value, value, value}).calculate_qparams().qparams,
              observed<MinMaxObserver>({value}).calculate_qparams().qparams)
        << value;
  }
}

TYPED_TEST(AnyCalibrator, SawNothingAnswersOneAndZero) {
  TypeParam observer;
  EXPECT_FALSE(observer.calibrated());
  EXPECT_EQ(observer.range().max, 0);
  EXPECT_EQ(observer.calculate_qparams().qparams, QParams::per_tensor(1, 0));
  observer.observe(floats({1, 2}));
  EXPECT_TRUE(observer.calibrated());
  observer.reset();
  EXPECT_FALSE(observer.calibrated());
}

TYPED_TEST(AnyCalibrator, ShardsSentAsStatesMakeTheWhole) {
  const std::vector<float> values = sample(Kind::tail, 9000, 9);
  // An eps that no float holds must not keep them apart.
  const TypeParam whole = observed<TypeParam>(values, {.eps = 1e-6});
  TypeParam merged({.eps = 1e-6});
  for (const std::ptrdiff_t rank : {2, 0, 1}) {
    const TypeParam shard = observed<TypeParam>(
        {values.begin() + 3000 * rank, values.begin() + 3000 * (rank + 1)}, {.eps = 1e-6});
    merged.merge_state(shard.state_dict("layer."), "layer.");
  }
  EXPECT_TRUE(merged.histogram() == whole.histogram());
  EXPECT_EQ(merged.calculate_qparams().qparams, whole.calculate_qparams().qparams);
}

TYPED_TEST(AnyCalibrator, ExplainsWhatIsWrong) {
  TypeParam observer({.bins = 16});
  const std::string name(observer.name());
  EXPECT_THAT([&] { observer.observe(floats({std::nanf("")})); },
              ThrowsMessage<ValueError>(HasSubstr(name + ": the tensor of sizes (1,) holds NaN")));
  EXPECT_THAT(
      [&] { observer.merge_state(TypeParam().state_dict()); },
      ThrowsMessage<ValueError>(HasSubstr("counts in the state must have sizes (2, 16), got (2, 2048)")));
  EXPECT_THAT([&] { observer.merge_state(TypeParam({.eps = 0.5, .bins = 16}).state_dict()); },
              ThrowsMessage<ValueError>(HasSubstr("eps is 0.5 in the state")));
  EXPECT_THAT([&] { observer.merge(MinMaxObserver()); },
              ThrowsMessage<TypeError>(HasSubstr("cannot merge with a MinMaxObserver")));
  EXPECT_THAT([&] { TypeParam({.bins = 0}); },
              ThrowsMessage<ValueError>(HasSubstr(name + ": bins must be 1 to 1048576, got 0")));
  EXPECT_THROW(TypeParam({.qscheme = QScheme::per_channel_affine}), TypeError);
  EXPECT_FALSE(observer.calibrated());
}

TEST(PercentileObserver, ChecksThePercentile) {
  for (const double wrong : {0.0, -1.0, 100.5, std::nan("")}) {
    EXPECT_THAT([&] { PercentileObserver({.percentile = wrong}); },
                ThrowsMessage<ValueError>(HasSubstr("percentile must be in (0, 100], got")));
  }
  EXPECT_THAT(PercentileObserver({.percentile = 99}).to_string(), HasSubstr("percentile=99, bins=2048"));
}

}  // namespace
}  // namespace qconv
