#include "observers/affine_range.hpp"

#include <algorithm>
#include <cmath>

#include "support/check.hpp"

namespace qconv {
namespace {

struct Affine {
  float scale;
  std::int64_t zero_point;
};

// PyTorch asserts that a custom quint8 range has a zero point in its middle, and leaves qint8 and qint32 at
// 0.
std::int64_t symmetric_zero_point(const Observer& o) {
  if (o.dtype() != quint8) return 0;
  return o.options().quant_min ? (o.quant_min() + o.quant_max()) / 2 : 128;
}

Affine symmetric(const Observer& o, float lo, float hi) {
  const auto half_levels = static_cast<float>(static_cast<double>(o.quant_max() - o.quant_min()) / 2);
  const float scale = std::max(-lo, hi) / half_levels;
  return {std::max(scale, static_cast<float>(o.eps())), symmetric_zero_point(o)};
}

Affine affine(const Observer& o, float lo, float hi) {
  const auto levels = static_cast<float>(o.quant_max() - o.quant_min());
  const float scale = std::max((hi - lo) / levels, static_cast<float>(o.eps()));
  if (!std::isfinite(scale)) return {scale, 0};
  // At most about 2^32 in magnitude: lo / scale is no more than the number of levels.
  const auto steps = static_cast<std::int64_t>(std::nearbyint(lo / scale));
  return {scale, std::clamp(o.quant_min() - steps, o.quant_min(), o.quant_max())};
}

}  // namespace

ObservedQParams qparams_for_range(const Observer& o, std::span<const float> min, std::span<const float> max) {
  ObservedQParams result = default_qparams(o);
  result.qparams.scales.clear();
  result.qparams.zero_points.clear();
  for (std::size_t i = 0; i < min.size(); ++i) {
    const auto where = [&] {
      return is_per_channel(o.qscheme()) ? fmt::format(" in channel {}", i) : std::string();
    };
    // False for NaN as well.
    check(min[i] <= max[i], "{}: the minimum {} is not below the maximum {}{}", o.name(), min[i], max[i],
          where());
    const float lo = std::min(min[i], 0.0F);
    const float hi = std::max(max[i], 0.0F);
    const Affine p = is_symmetric(o.qscheme()) ? symmetric(o, lo, hi) : affine(o, lo, hi);
    check(std::isfinite(p.scale), "{}: the range [{}, {}]{} is too wide for a finite scale", o.name(), min[i],
          max[i], where());
    result.qparams.scales.push_back(static_cast<double>(p.scale));
    result.qparams.zero_points.push_back(p.zero_point);
  }
  return result;
}

ObservedQParams default_qparams(const Observer& o) {
  ObservedQParams result{{}, o.qscheme(), o.dtype()};
  if (is_per_channel(o.qscheme())) result.qparams.axis = o.ch_axis();
  return result;
}

}  // namespace qconv
