#pragma once

#include <limits>
#include <vector>

#include <qconv/tensor.hpp>

namespace qconv {

/// The smallest and largest of some numbers; both NaN once one of them is. Empty: +infinity and -infinity.
struct ValueRange {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
};

/// The smaller number, or NaN if there is one.
inline float nan_min(float a, float b) noexcept { return a < b || a != a ? a : b; }
inline float nan_max(float a, float b) noexcept { return a > b || a != a ? a : b; }
inline ValueRange join(ValueRange a, ValueRange b) noexcept {
  return {nan_min(a.min, b.min), nan_max(a.max, b.max)};
}

/// The range of `count` floats in a row, on the calling thread.
ValueRange value_range(const float* x, std::int64_t count) noexcept;

/// The range of a float32 tensor, on all threads.
ValueRange value_range(const Tensor& x);

/// The range of each index of dimension `axis`, on all threads.
std::vector<ValueRange> channel_ranges(const Tensor& x, int axis);

/// Calls body(p, count) on the calling thread for stretches of memory that together hold each element of the
/// float32 tensor once. A tensor that is dense in a memory format is one stretch; another is copied piece by
/// piece, an index of its first dimension at a time.
template <class Body>
void for_each_stretch(const Tensor& x, const Body& body) {
  if (x.is_contiguous() || x.is_contiguous(MemoryFormat::channels_last)) {
    body(x.data<float>(), x.numel());
    return;
  }
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const Tensor piece = x.select(0, i).contiguous();
    body(piece.data<float>(), piece.numel());
  }
}

}  // namespace qconv
