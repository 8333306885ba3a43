#include "nn/output_qparams.hpp"

#include "support/check.hpp"

namespace qconv::nn {

OutputQParams output_qparams(const std::string& who, const Observer& observer) {
  check<TypeError>(observer.dtype() == quint8 || observer.dtype() == qint8,
                   "{}: the activation observer must have dtype quint8 or qint8, got {}", who,
                   qconv::to_string(observer.dtype()));
  check<TypeError>(!is_per_channel(observer.qscheme()),
                   "{}: the activation observer must be per tensor, got {}", who,
                   qconv::to_string(observer.qscheme()));
  check(observer.calibrated(),
        "{}: the activation observer ({}) has seen no data; run calibration data through the float module "
        "first",
        who, observer.name());
  const QParams qparams = observer.calculate_qparams().qparams;
  return {qparams.scales[0], qparams.zero_points[0]};
}

}  // namespace qconv::nn
