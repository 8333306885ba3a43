#include "observers/histogram_search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace qconv {
namespace {

// One running sum per vector lane, four of them side by side, in four levels: a level passes its sum up when
// it has taken `step` additions, which keeps the rounding error small. This is the order of torch.sum.
template <int kLanes>
std::array<float, kLanes> cascade_sum(const float* x, std::int64_t rows) {
  constexpr int kSide = 4;
  constexpr int kLevels = 4;
  constexpr int kWidth = kSide * kLanes;
  std::array<std::array<float, kWidth>, kLevels> sums{};
  const auto add = [&](std::array<float, kWidth>& to, const float* from) {
    for (int k = 0; k < kWidth; ++k) to[static_cast<std::size_t>(k)] += from[k];
  };
  const std::int64_t size = rows / kSide;
  int bits = 0;
  while ((std::int64_t{1} << bits) < size) ++bits;
  const int power = std::max(4, bits / kLevels);
  const std::int64_t step = std::int64_t{1} << power;
  std::int64_t i = 0;
  while (i + step <= size) {
    for (std::int64_t j = 0; j < step; ++j, ++i) add(sums[0], x + i * kWidth);
    for (std::size_t level = 1; level < kLevels; ++level) {
      add(sums[level], sums[level - 1].data());
      sums[level - 1].fill(0);
      if ((i & ((step - 1) << (static_cast<int>(level) * power))) != 0) break;
    }
  }
  for (; i < size; ++i) add(sums[0], x + i * kWidth);
  for (std::size_t level = 1; level < kLevels; ++level) add(sums[0], sums[level].data());
  std::array<float, kLanes> total{};
  std::copy_n(sums[0].begin(), kLanes, total.begin());
  const auto add_lanes = [&](const float* from) {
    for (int k = 0; k < kLanes; ++k) total[static_cast<std::size_t>(k)] += from[k];
  };
  for (std::int64_t row = size * kSide; row < rows; ++row) add_lanes(x + row * kLanes);
  for (int k = 1; k < kSide; ++k) add_lanes(sums[0].data() + k * kLanes);
  return total;
}

// torch.sum of a float32 vector on one thread: 8 lanes whatever the processor.
float torch_sum(std::span<const float> x) {
  constexpr int kLanes = 8;
  const auto count = static_cast<std::int64_t>(x.size());
  if (count < kLanes) return cascade_sum<1>(x.data(), count)[0];
  const std::int64_t rows = count / kLanes;
  const auto lanes = cascade_sum<kLanes>(x.data(), rows);
  float total = 0;
  for (std::int64_t i = rows * kLanes; i < count; ++i) total += x[static_cast<std::size_t>(i)];
  for (const float lane : lanes) total += lane;
  return total;
}

// The running sum in double, each partial sum rounded: torch.cumsum.
std::vector<float> cumulative(std::span<const float> counts) {
  std::vector<float> result;
  result.reserve(counts.size());
  double sum = 0;
  for (const float c : counts) result.push_back(static_cast<float>(sum += static_cast<double>(c)));
  return result;
}

// The integral of density * x^2 from begin to end.
float square_error(float begin, float end, float density) {
  return density * ((end * end * end - begin * begin * begin) / 3.0F);
}

// The mean square error, up to a constant factor, of quantizing the histogram with its bins [first, last]
// mapped to `levels` integers and the values outside limited. Values are taken as spread evenly in their bin.
class ErrorOfRange {
 public:
  ErrorOfRange(std::span<const float> counts, BinRange range, double levels)
      : counts_(counts),
        width_((static_cast<double>(range.max) - static_cast<double>(range.min)) /
               static_cast<double>(counts.size())),
        levels_(levels),
        terms_(counts.size()) {}

  float operator()(std::int64_t first, std::int64_t last) {
    const double level_width = width_ * static_cast<double>(last - first + 1) / levels_;
    if (level_width == 0.0) return 0;
    const auto bin_width = static_cast<float>(width_);
    const auto step = static_cast<float>(level_width);
    const auto half_step = static_cast<float>(level_width / 2);
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const float begin = static_cast<float>(static_cast<std::int64_t>(i) - first) * bin_width;
      const float end = begin + bin_width;
      const float begin_level = level_of(begin, step);
      const float end_level = level_of(end, step);
      const float density = counts_[i] / bin_width;
      const float begin_center = (begin_level + 0.5F) * step;
      const float end_center = end_level * step + half_step;
      float error = square_error(begin - begin_center, half_step, density);
      error += (end_level - begin_level - 1.0F) * square_error(-half_step, half_step, density);
      error += square_error(-half_step, end - end_center, density);
      terms_[i] = error;
    }
    return torch_sum(terms_);
  }

 private:
  // floor(v / step), exact because the quotient of two floats is taken in double, limited to the levels.
  float level_of(float v, float step) const noexcept {
    const double level = std::floor(static_cast<double>(v) / static_cast<double>(step));
    return static_cast<float>(std::clamp(level, 0.0, levels_ - 1));
  }

  std::span<const float> counts_;
  double width_;
  double levels_;
  std::vector<float> terms_;
};

}  // namespace

BinRange search_range(std::span<const float> counts, BinRange range, double levels) {
  constexpr double kStep = 1e-5;
  const std::vector<float> below = cumulative(counts);
  const auto total = static_cast<double>(torch_sum(counts));
  const auto mass = [&](std::int64_t bin) { return below[static_cast<std::size_t>(bin)]; };
  ErrorOfRange error_of(counts, range, levels);
  double alpha = 0;
  double beta = 1;
  std::int64_t first = 0;
  std::int64_t last = static_cast<std::int64_t>(counts.size()) - 1;
  float least = std::numeric_limits<float>::infinity();
  while (alpha < beta) {
    const double next_alpha = alpha + kStep;
    const double next_beta = beta - kStep;
    const auto low = static_cast<float>(next_alpha * total);
    const auto high = static_cast<float>(next_beta * total);
    std::int64_t left = first;
    std::int64_t right = last;
    while (left < last && mass(left) < low) ++left;
    while (right > first && mass(right) > high) --right;
    std::int64_t next_first = first;
    std::int64_t next_last = last;
    if (left - first > last - right) {
      next_first = left;
      alpha = next_alpha;
    } else {
      next_last = right;
      beta = next_beta;
    }
    if (next_first == first && next_last == last) continue;
    const float error = error_of(next_first, next_last);
    if (error > least) break;
    least = error;
    first = next_first;
    last = next_last;
  }
  const float width = (range.max - range.min) / static_cast<float>(counts.size());
  return {range.min + width * static_cast<float>(first), range.min + width * static_cast<float>(last + 1)};
}

}  // namespace qconv
