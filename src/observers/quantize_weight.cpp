#include <algorithm>

#include <qconv/quantize.hpp>
#include <qconv/quantize_weight.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

// `weight` is freshly quantized, hence dense, and nobody else has it.
void clamp_integers(Tensor& weight, std::int64_t min, std::int64_t max) {
  const DTypeInfo& type = info(weight.dtype());
  if (min <= type.quant_min && max >= type.quant_max) return;
  auto* q = weight.mutable_data<std::int8_t>();
  std::transform(q, q + weight.numel(), q,
                 [lo = static_cast<std::int8_t>(min), hi = static_cast<std::int8_t>(max)](std::int8_t v) {
                   return std::clamp(v, lo, hi);
                 });
}

}  // namespace

Tensor quantize_weight(const Tensor& weight, const Observer& observer) {
  check<TypeError>(observer.dtype() == qint8, "quantize_weight: the observer must have dtype qint8, got {}",
                   to_string(observer.dtype()));
  check(observer.calibrated(), "quantize_weight: the {} has seen nothing; let it observe the weight first",
        observer.name());
  const QParams p = observer.calculate_qparams().qparams;
  Tensor q = p.is_per_channel() ? quantize_per_channel(weight, p.scales, p.zero_points, p.axis, qint8)
                                : quantize_per_tensor(weight, p.scales[0], p.zero_points[0], qint8);
  clamp_integers(q, observer.quant_min(), observer.quant_max());
  return q;
}

}  // namespace qconv
