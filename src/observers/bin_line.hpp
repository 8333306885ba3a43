#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <qconv/observers/streaming_histogram.hpp>

namespace qconv {

/// The used bins of a StreamingHistogram along the number line: bin k, -below <= k < above, begins at k times
/// the width. Zeros are in none of them.
class BinLine {
 public:
  explicit BinLine(const StreamingHistogram& h) : below_(used(h.negative())), above_(used(h.positive())) {
    counts_.assign(h.negative().rend() - below_, h.negative().rend());
    counts_.insert(counts_.end(), h.positive().begin(), h.positive().begin() + above_);
  }

  int below() const noexcept { return below_; }
  int above() const noexcept { return above_; }
  /// All bins in order.
  std::span<const std::int64_t> counts() const noexcept { return counts_; }
  /// Of bin k; 0 outside.
  std::int64_t count(int k) const noexcept {
    return k >= -below_ && k < above_ ? counts_[static_cast<std::size_t>(k + below_)] : 0;
  }

 private:
  // The number of bins up to the last that holds something.
  static int used(std::span<const std::int64_t> counts) {
    const auto last = std::find_if(counts.rbegin(), counts.rend(), [](std::int64_t c) { return c != 0; });
    return static_cast<int>(counts.rend() - last);
  }

  int below_;
  int above_;
  std::vector<std::int64_t> counts_;
};

}  // namespace qconv
