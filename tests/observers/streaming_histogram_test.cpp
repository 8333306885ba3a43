// The histogram behind the calibrators: counted by hand, in any order, in any number of parts.
#include <cmath>
#include <limits>
#include <map>

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <qconv/error.hpp>
#include <qconv/observers.hpp>
#include <qconv/threads.hpp>

namespace qconv {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor floats(const std::vector<float>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

StreamingHistogram histogram_of(const std::vector<float>& values, int bins = 2048) {
  StreamingHistogram h(bins);
  h.add(floats(values));
  return h;
}

// Every finite float may come, the smallest and the largest too.
std::vector<float> any_floats() {
  std::vector<float> values;
  const int top = *rc::gen::inRange(-126, 128);
  for (int i = *rc::gen::inRange(1, 200); i > 0; --i) {
    const int exponent = *rc::gen::weightedOneOf<int>(
        {{3, rc::gen::inRange(std::max(-149, top - 12), top + 1)}, {1, rc::gen::inRange(-149, top + 1)}});
    const auto mantissa = static_cast<float>(*rc::gen::inRange(-(1 << 24) + 1, 1 << 24));
    values.push_back(*rc::gen::weightedElement<float>(
        {{8, std::ldexp(mantissa, exponent - 23)}, {1, 0.0F}, {1, -0.0F}, {1, kInf}}));
    if (std::isinf(values.back()) && *rc::gen::arbitrary<bool>()) values.back() = 1e-45F;
  }
  return values;
}

RC_GTEST_PROP(StreamingHistogram, CountsAsTheDefinitionSays, ()) {
  const std::vector<float> values = any_floats();
  const int bins = *rc::gen::element(1, 3, 16, 2048);
  const StreamingHistogram h = histogram_of(values, bins);
  double magnitude = 0;
  for (const float v : values) {
    if (std::isfinite(v)) magnitude = std::max(magnitude, std::abs(static_cast<double>(v)));
  }
  RC_ASSERT(magnitude < bins * h.bin_width());
  RC_ASSERT(h.exponent() == -126 || magnitude >= bins * h.bin_width() / 2);
  std::vector<std::int64_t> positive(static_cast<std::size_t>(bins));
  std::vector<std::int64_t> negative(static_cast<std::size_t>(bins));
  std::int64_t zeros = 0;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    const auto bin = static_cast<std::size_t>(std::abs(static_cast<double>(v)) / h.bin_width());
    ++(v == 0 ? zeros : v > 0 ? positive[bin] : negative[bin]);
  }
  RC_ASSERT(std::equal(positive.begin(), positive.end(), h.positive().begin()));
  RC_ASSERT(std::equal(negative.begin(), negative.end(), h.negative().begin()));
  RC_ASSERT(h.zeros() == zeros);
}

RC_GTEST_PROP(StreamingHistogram, PartsInAnyOrderMakeTheWhole, ()) {
  const int bins = *rc::gen::element(1, 7, 64, 2048);
  const std::vector<float> values = any_floats();
  const StreamingHistogram whole = histogram_of(values, bins);
  std::vector<StreamingHistogram> parts(static_cast<std::size_t>(*rc::gen::inRange(1, 6)),
                                        StreamingHistogram(bins));
  for (const float v : values) parts[*rc::gen::inRange<std::size_t>(0, parts.size())].add(floats({v}));
  while (parts.size() > 1) {
    const auto from = *rc::gen::inRange<std::size_t>(1, parts.size());
    parts[0].merge(parts[from]);
    std::swap(parts[from], parts.back());
    parts.pop_back();
    if (*rc::gen::arbitrary<bool>()) std::swap(parts[0], parts.back());
  }
  RC_ASSERT(parts[0] == whole);
}

TEST(StreamingHistogram, IsTheSameForEveryLayoutAndThreadCount) {
  std::vector<float> values(2 * 8 * 100 * 200);
  std::uint32_t state = 1;
  for (float& v : values) {
    state = state * 1664525U + 1013904223U;
    v = static_cast<float>(static_cast<std::int32_t>(state)) / 1e9F;
  }
  values[17] = -kInf;
  const Tensor x = Tensor::from_data(values, {2, 8, 100, 200});
  const int threads = get_num_threads();
  set_num_threads(1);
  const StreamingHistogram expected = histogram_of(values);
  EXPECT_EQ(expected.total(), x.numel() - 1);
  for (const int count : {1, 2, 5}) {
    set_num_threads(count);
    for (const Tensor& same : {x, x.contiguous(MemoryFormat::channels_last), x.permute({3, 0, 2, 1})}) {
      StreamingHistogram h(2048);
      h.add(same);
      EXPECT_TRUE(h == expected);
    }
  }
  set_num_threads(threads);
}

TEST(StreamingHistogram, KnowsNothingOfEmptyAndInfinite) {
  StreamingHistogram h(4);
  h.add(Tensor::zeros({0, 3}, float32));
  h.add(floats({kInf, -kInf}));
  EXPECT_TRUE(h.empty());
  EXPECT_EQ(h.min(), kInf);
  h.add(floats({-0.0F}));
  EXPECT_EQ(h.zeros(), 1);
  EXPECT_FALSE(std::signbit(h.min()));
  EXPECT_THAT(h.positive(), Each(0));
}

TEST(StreamingHistogram, RefusesNanAndKeepsWhatItHad) {
  StreamingHistogram h = histogram_of({1, 2});
  const StreamingHistogram before = h;
  EXPECT_THAT(
      [&] {
        h.add(floats({100, std::nanf("")}), "MyObserver");
      },
      ThrowsMessage<ValueError>(HasSubstr("MyObserver: the tensor of sizes (2,) holds NaN")));
  EXPECT_TRUE(h == before);
}

TEST(StreamingHistogram, ChecksItsBins) {
  EXPECT_THROW(StreamingHistogram(0), ValueError);
  EXPECT_THROW(StreamingHistogram((1 << 20) + 1), ValueError);
  StreamingHistogram h(8);
  EXPECT_THAT([&] { h.merge(StreamingHistogram(9)); },
              ThrowsMessage<ValueError>(HasSubstr("cannot merge 8 bins with 9")));
}

TEST(StreamingHistogram, RestoresOnlyWhatDataCanGive) {
  using Counts = std::vector<std::int64_t>;
  const auto restore = [](const Counts& counts, std::int64_t zeros, int exponent, float min, float max) {
    return StreamingHistogram::restore(counts, zeros, exponent, min, max, "test");
  };
  const StreamingHistogram h = histogram_of({-1, 0, 2, 3.5F}, 4);
  EXPECT_TRUE(restore({0, 0, 1, 1, 0, 1, 0, 0}, 1, 0, -1, 3.5F) == h);
  EXPECT_TRUE(restore({0, 0, 0, 0}, 0, -126, kInf, -kInf) == StreamingHistogram(2));
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0}, 1, 0, -1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, -1, 1, 0, 1, 0, 0}, 1, 0, -1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0, 0}, -1, 0, -1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0, 0}, 1, 1, -1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0, 0}, 1, 0, 1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0, 0}, 1, 0, -1, 2), ValueError);
  EXPECT_THROW(restore({0, 0, 1, 1, 0, 1, 0, 0}, 1, 0, -1, kInf), ValueError);
  EXPECT_THROW(restore({0, 0, 1, std::int64_t{1} << 60, 0, 1, 0, 0}, 1, 0, -1, 3.5F), ValueError);
  EXPECT_THROW(restore({0, 0, 0, 0}, 0, -126, 0, 0), ValueError);
}

}  // namespace
}  // namespace qconv
