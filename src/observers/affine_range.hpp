#pragma once

#include <span>

#include <qconv/observers/observer.hpp>

namespace qconv {

/// The observer's parameters for values in [min[i], max[i]], one i per channel or one in all. The formula is
/// at MinMaxObserver; everything in float32, as in PyTorch. Throws ValueError, in the observer's name, when a
/// minimum is greater than its maximum or one is NaN or so large that the scale is infinite.
ObservedQParams qparams_for_range(const Observer& observer, std::span<const float> min,
                                  std::span<const float> max);

/// Scale 1 and zero point 0: the answer of an observer that saw nothing.
ObservedQParams default_qparams(const Observer& observer);

}  // namespace qconv
