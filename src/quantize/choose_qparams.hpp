#pragma once

#include <cstdint>

namespace qconv {

struct ChosenQParams {
  double scale;
  std::int64_t zero_point;
};

/// The two versions of the algorithm that PyTorch has. FBGEMM's rounds the scale to float before anything is
/// divided by it, and where both bounds round, it looks for the smaller sum instead of difference of the
/// bound and its distance.
enum class ChooseRule { aten, fbgemm };

/// ChooseQuantizationParams: the affine parameters that map [min, max], widened to hold 0, onto [qmin,
/// qmax], halved with `reduce_range`; the zero point is the rounding that errs least. With
/// `preserve_sparsity` (symmetric fake quantization) the range is made symmetric first. `min` <= `max`, both
/// finite.
ChosenQParams choose_qparams(float min, float max, std::int32_t qmin, std::int32_t qmax,
                             bool preserve_sparsity, bool reduce_range, ChooseRule rule = ChooseRule::aten);

}  // namespace qconv
