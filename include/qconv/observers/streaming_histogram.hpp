#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// Counts values by their distance from 0, in bins whose width is a power of two: the smallest, 2^-126 or
/// more, with which `bins` of them reach past the largest magnitude seen. When a larger one comes, the width
/// is doubled as often as it takes, and pairs of bins become one, which is what counting with the wider bins
/// would have given. So the contents depend on the values alone, never on their order or on how they were
/// divided into batches, and merging is exact. Memory is 16 bytes times `bins`, whatever the size of the
/// data.
class QCONV_API StreamingHistogram {
 public:
  /// `bins` for each sign, 1 to 2^20. Throws ValueError, beginning with `who`, for another number.
  explicit StreamingHistogram(int bins, std::string_view who = "StreamingHistogram");

  /// Counts the values of a float32 tensor, on all threads. Infinities are left out; throws ValueError for
  /// NaN, beginning with `who`, and then nothing has changed.
  void add(const Tensor& x, std::string_view who = "StreamingHistogram");
  /// Adds what `other`, which has as many bins, counted.
  void merge(const StreamingHistogram& other);

  int bins() const noexcept { return static_cast<int>(positive_.size()); }
  /// The width of a bin is 2^exponent().
  int exponent() const noexcept { return exponent_; }
  double bin_width() const noexcept;
  /// Element i: how many values lie in [i, i + 1) times the width, 0 itself left out.
  std::span<const std::int64_t> positive() const noexcept { return positive_; }
  /// Element i: how many values lie in (-(i + 1), -i] times the width, 0 itself left out.
  std::span<const std::int64_t> negative() const noexcept { return negative_; }
  /// How many values are 0.
  std::int64_t zeros() const noexcept { return zeros_; }
  /// How many values were counted.
  std::int64_t total() const noexcept { return total_; }
  bool empty() const noexcept { return total_ == 0; }
  /// The smallest and largest value counted; +infinity and -infinity before anything was.
  float min() const noexcept { return min_; }
  float max() const noexcept { return max_; }

  /// What a state holds; `counts` are the positive bins, then the negative ones. Throws ValueError, beginning
  /// with `who`, for numbers that no data gives.
  static StreamingHistogram restore(std::span<const std::int64_t> counts, std::int64_t zeros, int exponent,
                                    float min, float max, std::string_view who);

  friend bool operator==(const StreamingHistogram&, const StreamingHistogram&) = default;

 private:
  void widen(int exponent);

  std::vector<std::int64_t> positive_;
  std::vector<std::int64_t> negative_;
  std::int64_t zeros_ = 0;
  std::int64_t total_ = 0;
  int exponent_;
  float min_;
  float max_;
};

}  // namespace qconv
