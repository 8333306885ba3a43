#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include <qconv/observers/streaming_histogram.hpp>

#include "observers/value_range.hpp"
#include "support/check.hpp"
#include "support/thread_pool.hpp"

namespace qconv {
namespace {

constexpr int kBinLimit = 1 << 20;
// So that 2^-exponent is a float.
constexpr int kMinExponent = -126;
// Sums of this many are exact in double as well, which the searches count in.
constexpr std::int64_t kMaxTotal = std::int64_t{1} << 53;

constexpr int kBlock = 1024;
constexpr std::int64_t kMinPerTask = 1 << 17;
constexpr std::int64_t kMaxPerTask = std::int64_t{1} << 31;
constexpr std::int64_t kTaskLimit = 32;
// Neighbouring values often share a bin, and an increment waits for the one before it in the same place: two
// places for each bin.
constexpr int kCopies = 2;

bool reaches(int bins, int exponent, float magnitude) {
  return static_cast<double>(magnitude) < std::ldexp(static_cast<double>(bins), exponent);
}

// The smallest exponent with which `bins` bins reach past the magnitude.
int exponent_for(int bins, float magnitude) {
  int exponent = kMinExponent;
  if (magnitude > 0) exponent = std::max(exponent, std::ilogb(magnitude) - std::ilogb(bins) - 1);
  while (!reaches(bins, exponent, magnitude)) ++exponent;
  return exponent;
}

int bin_of(float magnitude, int exponent) {
  return static_cast<int>(std::ldexp(static_cast<double>(magnitude), -exponent));
}

// What one task counted: for each bin kCopies counters, the positive bins first.
class Partial {
 public:
  Partial(int bins, int exponent)
      : bins_(bins),
        inverse_width_(std::ldexp(1.0F, -exponent)),
        counts_(2 * kCopies * static_cast<std::size_t>(bins)) {}

  void add(const float* x, std::int64_t count, bool all_finite) {
    float finite[kBlock];
    for (std::int64_t i = 0; i < count; i += kBlock) {
      const int n = static_cast<int>(std::min<std::int64_t>(kBlock, count - i));
      if (all_finite) {
        add_block(x + i, n);
      } else {
        const float* end = std::copy_if(x + i, x + i + n, finite, [](float v) { return std::isfinite(v); });
        add_block(finite, static_cast<int>(end - finite));
      }
    }
  }

  void add_to(std::vector<std::int64_t>& positive, std::vector<std::int64_t>& negative) const {
    const std::uint32_t* from = counts_.data();
    for (auto* side : {&positive, &negative}) {
      for (std::int64_t& to : *side) {
        for (int copy = 0; copy < kCopies; ++copy) to += *from++;
      }
    }
  }
  std::int64_t zeros() const noexcept { return zeros_; }

 private:
  // Scaling by a power of two is exact, or so far below 1 that the bin is 0 whatever it rounds to. Then the
  // bin of the doubled width is always half of this one, rounded down: counting and widening commute.
  void add_block(const float* x, int n) {
    std::int32_t index[kBlock];
    std::int32_t zeros = 0;
    for (int i = 0; i < n; ++i) {
      // Integer operations on the sign instead of comparisons, which would become branches; -0 becomes 0.
      const float v = x[i] + 0.0F;
      const auto bits = std::bit_cast<std::int32_t>(v);
      index[i] = static_cast<std::int32_t>(std::fabs(v) * inverse_width_) + ((bits >> 31) & bins_);
      zeros += bits == 0 ? 1 : 0;
    }
    zeros_ += zeros;
    std::uint32_t* counts = counts_.data();
    int i = 0;
    for (; i + kCopies <= n; i += kCopies) {
      for (int copy = 0; copy < kCopies; ++copy) ++counts[index[i + copy] * kCopies + copy];
    }
    for (; i < n; ++i) ++counts[index[i] * kCopies];
  }

  std::int32_t bins_;
  float inverse_width_;
  std::int64_t zeros_ = 0;
  std::vector<std::uint32_t> counts_;
};

std::int64_t task_count(std::int64_t count, int bins) {
  const std::int64_t worth = std::max(kMinPerTask, std::int64_t{4} * bins * kCopies);
  const std::int64_t needed = (count + kMaxPerTask - 1) / kMaxPerTask;
  return std::max(needed, std::clamp(count / worth, std::int64_t{1}, kTaskLimit));
}

// Infinities left out.
ValueRange finite_range(const Tensor& x) {
  ValueRange range;
  for_each_stretch(x, [&](const float* p, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      if (std::isfinite(p[i])) range = join(range, {p[i], p[i]});
    }
  });
  return range;
}

std::int64_t sum(std::span<const std::int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

// The number of bins up to the last that holds something.
int used(std::span<const std::int64_t> counts) {
  const auto last = std::find_if(counts.rbegin(), counts.rend(), [](std::int64_t c) { return c != 0; });
  return static_cast<int>(counts.rend() - last);
}

void halve(std::vector<std::int64_t>& counts, int times) {
  const int shift = std::min(times, 31);
  for (std::size_t i = 1; i < counts.size(); ++i) {
    const std::int64_t count = std::exchange(counts[i], 0);
    counts[i >> shift] += count;
  }
}

}  // namespace

StreamingHistogram::StreamingHistogram(int bins, std::string_view who)
    : exponent_(kMinExponent), min_(ValueRange{}.min), max_(ValueRange{}.max) {
  check(bins >= 1 && bins <= kBinLimit, "{}: bins must be 1 to {}, got {}", who, kBinLimit, bins);
  positive_.resize(static_cast<std::size_t>(bins));
  negative_.resize(static_cast<std::size_t>(bins));
}

double StreamingHistogram::bin_width() const noexcept { return std::ldexp(1.0, exponent_); }

void StreamingHistogram::widen(int exponent) {
  if (exponent <= exponent_) return;
  halve(positive_, exponent - exponent_);
  halve(negative_, exponent - exponent_);
  exponent_ = exponent;
}

void StreamingHistogram::add(const Tensor& x, std::string_view who) {
  if (x.numel() == 0) return;
  ValueRange range = value_range(x);
  check(range.min == range.min, "{}: the tensor of sizes {} holds NaN", who, x.sizes());
  const bool all_finite = std::isfinite(range.min) && std::isfinite(range.max);
  if (!all_finite) range = finite_range(x);
  if (range.min > range.max) return;
  widen(exponent_for(bins(), std::max(-range.min, range.max)));
  for_each_stretch(x, [&](const float* p, std::int64_t count) {
    const std::int64_t tasks = task_count(count, bins());
    const std::int64_t size = (count + tasks - 1) / tasks;
    std::vector<Partial> partial(static_cast<std::size_t>(tasks), Partial(bins(), exponent_));
    parallel_for(*current_pool(), partial.size(), [&](std::size_t t) {
      const std::int64_t begin = std::min(count, static_cast<std::int64_t>(t) * size);
      partial[t].add(p + begin, std::min(size, count - begin), all_finite);
    });
    for (const Partial& part : partial) {
      part.add_to(positive_, negative_);
      positive_[0] -= part.zeros();
      zeros_ += part.zeros();
    }
  });
  total_ = sum(positive_) + sum(negative_) + zeros_;
  // Adding 0 makes 0 of -0, whose place among equals depends on the order.
  min_ = std::min(min_, range.min) + 0.0F;
  max_ = std::max(max_, range.max) + 0.0F;
}

void StreamingHistogram::merge(const StreamingHistogram& other) {
  check(bins() == other.bins(), "StreamingHistogram: cannot merge {} bins with {}", bins(), other.bins());
  if (other.exponent_ < exponent_) {
    StreamingHistogram wider = other;
    wider.widen(exponent_);
    return merge(wider);
  }
  widen(other.exponent_);
  std::transform(positive_.begin(), positive_.end(), other.positive_.begin(), positive_.begin(),
                 std::plus<>());
  std::transform(negative_.begin(), negative_.end(), other.negative_.begin(), negative_.begin(),
                 std::plus<>());
  zeros_ += other.zeros_;
  total_ += other.total_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

StreamingHistogram StreamingHistogram::restore(std::span<const std::int64_t> counts, std::int64_t zeros,
                                               int exponent, float min, float max, std::string_view who) {
  StreamingHistogram h(static_cast<int>(std::min<std::size_t>(counts.size() / 2, kBinLimit + 1)), who);
  check(counts.size() % 2 == 0, "{}: counts in the state must be of two sides, got {} of them", who,
        counts.size());
  check(zeros >= 0 && zeros < kMaxTotal, "{}: zeros in the state is {}, expected 0 to 2^53", who, zeros);
  h.total_ = zeros;
  for (const std::int64_t c : counts) {
    check(c >= 0 && c < kMaxTotal - h.total_, "{}: counts in the state are negative or past 2^53 in all",
          who);
    h.total_ += c;
  }
  const auto half = static_cast<std::ptrdiff_t>(h.positive_.size());
  std::copy(counts.begin(), counts.begin() + half, h.positive_.begin());
  std::copy(counts.begin() + half, counts.end(), h.negative_.begin());
  h.zeros_ = zeros;
  const bool nothing = h.total_ == 0;
  check(nothing ? min == h.min_ && max == h.max_ : min <= max && std::isfinite(min) && std::isfinite(max),
        "{}: the range [{}, {}] in the state does not fit {} values", who, min, max, h.total_);
  const float magnitude = nothing ? 0 : std::max(-min, max);
  const int expected = exponent_for(h.bins(), magnitude);
  check(exponent == expected, "{}: exponent in the state is {}, expected {} for the range [{}, {}]", who,
        exponent, expected, min, max);
  // The bin of the largest value of either side is its last, and a side without values is empty.
  const auto expected_use = [&](float end) { return nothing || end <= 0 ? 0 : bin_of(end, exponent) + 1; };
  check(used(h.positive_) == expected_use(max) && used(h.negative_) == expected_use(-min),
        "{}: counts in the state do not fit the range [{}, {}]", who, min, max);
  h.exponent_ = exponent;
  h.min_ = min;
  h.max_ = max;
  return h;
}

}  // namespace qconv
