#include "quantize/choose_qparams.hpp"

#include <algorithm>
#include <cmath>

namespace qconv {
namespace {

constexpr float kSmallestScale = 6.1e-5F;

// Stretches the range so that a scale of kSmallestScale covers it exactly.
void stretch(float& min, float& max, double scale, std::int32_t qmin, std::int32_t qmax) {
  const auto smallest = static_cast<float>(kSmallestScale);
  const float amplifier = smallest / static_cast<float>(scale);
  if (min == 0.0F) {
    max = smallest * static_cast<float>(qmax - qmin);
  } else if (max == 0.0F) {
    min = -smallest * static_cast<float>(qmax - qmin);
  } else {
    min *= amplifier;
    max *= amplifier;
  }
}

}  // namespace

ChosenQParams choose_qparams(float min, float max, std::int32_t qmin, std::int32_t qmax,
                             bool preserve_sparsity, bool reduce_range, ChooseRule rule) {
  const bool fbgemm = rule == ChooseRule::fbgemm;
  if (reduce_range) {
    qmin /= 2;
    qmax /= 2;
  }
  const bool symmetric = preserve_sparsity && min < 0 && max > 0;
  if (symmetric) {
    const int symmetric_qmin = -((qmax - qmin) / 2 + 1);
    const int symmetric_qmax = (qmax - qmin) / 2;
    const auto steps = [fbgemm](float bound, int levels) {
      const auto narrow = static_cast<double>(bound / static_cast<float>(levels));
      return std::abs(fbgemm ? narrow : static_cast<double>(bound) / levels);
    };
    const double reach = std::max(steps(min, symmetric_qmin), steps(max, symmetric_qmax));
    min = static_cast<float>(reach * symmetric_qmin);
    max = static_cast<float>(reach * symmetric_qmax);
  }
  min = std::min(min, 0.0F);
  max = std::max(max, 0.0F);
  double scale = (static_cast<double>(max) - min) / (qmax - qmin);
  if (fbgemm) scale = static_cast<float>(scale);
  if (static_cast<float>(scale) == 0.0F || std::isinf(1.0F / static_cast<float>(scale)))
    scale = fbgemm ? 0.1F : 0.1;
  if (scale < kSmallestScale) {
    stretch(min, max, scale, qmin, qmax);
    scale = kSmallestScale;
  }
  const double from_min = qmin - min / scale;
  const double from_max = qmax - max / scale;
  const int sign = fbgemm ? 1 : -1;
  const double min_error = std::abs(qmin) + sign * std::abs(min / scale);
  const double max_error = std::abs(qmax) + sign * std::abs(max / scale);
  double zero_point = min_error < max_error ? from_min : from_max;
  if (symmetric) zero_point = static_cast<double>(qmin + qmax) / 2;
  if (zero_point < qmin) return {scale, qmin};
  if (zero_point > qmax) return {scale, qmax};
  return {scale, static_cast<std::int64_t>(std::nearbyint(zero_point))};
}

}  // namespace qconv
