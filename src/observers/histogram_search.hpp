#pragma once

#include <span>

#include "observers/histogram_bins.hpp"

namespace qconv {

/// The part of the range that quantizes the histogram with the least mean square error, as PyTorch's
/// HistogramObserver searches it: from the outside in, a hundred-thousandth of the mass at a time, at the end
/// where that skips fewer bins (none skipped: on to the next step), until the error rises. `levels` is the
/// number of integers, 256 for 8 bits. Types and the order of float additions are PyTorch's, since they
/// decide when the error rises.
BinRange search_range(std::span<const float> counts, BinRange range, double levels);

}  // namespace qconv
