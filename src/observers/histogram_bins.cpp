#include "observers/histogram_bins.hpp"

#include <algorithm>
#include <cmath>

#include "observers/value_range.hpp"
#include "support/thread_pool.hpp"

namespace qconv {
namespace {

constexpr std::int64_t kPieces = 16;
// Bins are counted by this many tasks at most, each with bins of its own.
constexpr std::int64_t kMaxTasks = 64;
constexpr std::int64_t kMinTaskSize = 1 << 16;

// How values map to bins; PyTorch widens the range of a constant.
class Binning {
 public:
  Binning(BinRange range, std::int64_t bins) : bins_(bins), min_(range.min), max_(range.max) {
    if (min_ == max_) {
      min_ = static_cast<float>(static_cast<double>(range.min) - 1);
      max_ = static_cast<float>(static_cast<double>(range.max) + 1);
    }
    width_ = max_ - min_;
    scale_ = static_cast<float>(bins);
  }
  bool holds(float v) const noexcept { return v >= min_ && v <= max_; }
  // Precondition: holds(v). The width is 0 for a constant past 2^24, which is the first bin as in PyTorch.
  std::int64_t index(float v) const noexcept {
    const float position = (v - min_) * scale_ / width_;
    return position < scale_ ? static_cast<std::int64_t>(position) : (position == position ? bins_ - 1 : 0);
  }

 private:
  std::int64_t bins_;
  float min_;
  float max_;
  float width_;
  float scale_;
};

void count_stretch(const float* x, std::int64_t count, const Binning& binning, std::int64_t* counts) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (binning.holds(x[i])) ++counts[binning.index(x[i])];
  }
}

void count_threaded(const float* x, std::int64_t count, const Binning& binning,
                    std::vector<std::int64_t>& counts) {
  const std::int64_t tasks = std::clamp(count / kMinTaskSize, std::int64_t{1}, kMaxTasks);
  if (tasks == 1) return count_stretch(x, count, binning, counts.data());
  const std::int64_t size = (count + tasks - 1) / tasks;
  std::vector<std::vector<std::int64_t>> partial(static_cast<std::size_t>(tasks));
  parallel_for(*current_pool(), partial.size(), [&](std::size_t t) {
    const std::int64_t begin = std::min(count, static_cast<std::int64_t>(t) * size);
    partial[t].resize(counts.size());
    count_stretch(x + begin, std::min(size, count - begin), binning, partial[t].data());
  });
  for (const auto& part : partial) {
    std::transform(counts.begin(), counts.end(), part.begin(), counts.begin(), std::plus<>());
  }
}

// torch.linspace: counted from both ends, each value one fused multiply-add.
class Linspace {
 public:
  Linspace(BinRange range, std::int64_t steps)
      : range_(range), steps_(steps), step_((range.max - range.min) / static_cast<float>(steps - 1)) {}
  float operator[](std::int64_t i) const noexcept {
    if (i < steps_ / 2) return std::fma(step_, static_cast<float>(i), range_.min);
    return std::fma(-step_, static_cast<float>(steps_ - i - 1), range_.max);
  }

 private:
  BinRange range_;
  std::int64_t steps_;
  float step_;
};

}  // namespace

std::vector<float> count_bins(const Tensor& x, BinRange range, std::int64_t bins) {
  const Binning binning(range, bins);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(bins));
  for_each_stretch(x, [&](const float* p, std::int64_t count) { count_threaded(p, count, binning, counts); });
  std::vector<float> result(counts.size());
  std::transform(counts.begin(), counts.end(), result.begin(),
                 [](std::int64_t c) { return static_cast<float>(c); });
  return result;
}

std::int64_t bin_of(float value, BinRange range, std::int64_t bins) {
  return Binning(range, bins).index(value);
}

std::vector<float> respread(std::span<const float> counts, BinRange from, BinRange to) {
  const auto bins = static_cast<std::int64_t>(counts.size());
  const std::int64_t pieces = bins * kPieces;
  const Linspace begins(from, pieces + 1);
  const float half_piece = 0.5F * ((from.max - from.min) / static_cast<float>(pieces));
  const Linspace edges(to, bins + 1);
  std::vector<float> result(counts.size());
  // Middles and edges both rise, so one walk along the edges finds every piece's bin: the last whose edge is
  // not past the middle.
  std::int64_t bin = 0;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const float middle = begins[i] + half_piece;
    while (bin + 1 < bins && edges[bin + 1] <= middle) ++bin;
    result[static_cast<std::size_t>(bin)] +=
        counts[static_cast<std::size_t>(i / kPieces)] / static_cast<float>(kPieces);
  }
  return result;
}

}  // namespace qconv
