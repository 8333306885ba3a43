#include "graph/distribution.hpp"

#include <algorithm>
#include <cmath>

namespace qconv::graph {
namespace {

// Beyond 2^40 bins from zero, neighbouring floats would fall into the same bin anyhow.
constexpr double kFarthestBin = 0x1p40;

bool fits(double low, double high, double width) {
  return std::max(std::abs(low), std::abs(high)) / width < kFarthestBin &&
         std::floor(high / width) - std::floor(low / width) <
             static_cast<double>(DistributionCounter::kMaxBins);
}

// The least power of two, from `width` up, whose bins cover the range.
double width_for(double low, double high, double width) {
  while (!fits(low, high, width)) width *= 2;
  return width;
}

}  // namespace

void DistributionCounter::cover(double low, double high) {
  ValueHistogram& h = result_.histogram;
  if (h.counts.empty()) {
    const double span = std::max(high - low, std::max(std::abs(low), std::abs(high)) * 0x1p-20);
    // A power of two well below what is needed; the smallest float where all values are zero.
    h.width = width_for(low, high, span > 0 ? std::exp2(std::floor(std::log2(span)) - 8) : 0x1p-149);
  } else {
    low = std::min(low, h.first);
    high = std::max(high, h.first + h.width * static_cast<double>(h.counts.size() - 1));
    const double width = width_for(low, high, h.width);
    for (; h.width < width; h.width *= 2) {
      const bool odd = std::fmod(std::abs(h.first / h.width), 2) == 1;
      std::vector<std::uint64_t> merged((h.counts.size() + (odd ? 1 : 0) + 1) / 2);
      for (std::size_t i = 0; i < h.counts.size(); ++i) merged[(i + (odd ? 1 : 0)) / 2] += h.counts[i];
      if (odd) h.first -= h.width;
      h.counts = std::move(merged);
    }
  }
  const double first = std::floor(low / h.width) * h.width;
  if (!h.counts.empty()) {
    const auto before = static_cast<std::ptrdiff_t>(std::lround((h.first - first) / h.width));
    h.counts.insert(h.counts.begin(), static_cast<std::size_t>(before), 0);
  }
  h.first = first;
  const auto bins = static_cast<std::size_t>(std::floor(high / h.width) - first / h.width) + 1;
  h.counts.resize(std::max(h.counts.size(), bins));
}

void DistributionCounter::add(std::span<const float> values) {
  float low = std::numeric_limits<float>::infinity();
  float high = -low;
  std::uint64_t finite = 0;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
    ++finite;
  }
  const bool first = result_.count == result_.not_finite;
  result_.count += values.size();
  result_.not_finite += values.size() - finite;
  if (finite == 0) return;
  const auto least = static_cast<double>(low);
  const auto greatest = static_cast<double>(high);
  result_.min = first ? least : std::min(result_.min, least);
  result_.max = first ? greatest : std::max(result_.max, greatest);
  cover(least, greatest);
  ValueHistogram& h = result_.histogram;
  // Exact: the width is a power of two.
  const double per_width = 1 / h.width;
  const double start = h.first * per_width;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    ++h.counts[static_cast<std::size_t>(std::floor(static_cast<double>(v) * per_width) - start)];
  }
}

}  // namespace qconv::graph
