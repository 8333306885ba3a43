#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <qconv/qconv.hpp>

/// Tensors as row-major vectors and loops over their indices: what the operators are compared with.
namespace qconv::test {

using Index = std::vector<std::int64_t>;

/// Calls visit(number, index) for every index of `sizes`, in row-major order.
template <class Visit>
void for_each_index(const Shape& sizes, const Visit& visit) {
  const std::int64_t count = sizes.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    Index at(static_cast<std::size_t>(sizes.rank()));
    std::int64_t rest = i;
    for (int d = sizes.rank() - 1; d >= 0; --d) {
      at[static_cast<std::size_t>(d)] = rest % sizes[d];
      rest /= sizes[d];
    }
    visit(static_cast<std::size_t>(i), at);
  }
}

/// Where the element at `index` of what `sizes` is repeated to lies in the row-major elements of `sizes`.
inline std::size_t offset(const Index& index, const Shape& sizes) {
  std::int64_t at = 0;
  const std::size_t lead = index.size() - static_cast<std::size_t>(sizes.rank());
  for (int d = 0; d < sizes.rank(); ++d) {
    const std::int64_t i = index[lead + static_cast<std::size_t>(d)];
    at = at * sizes[d] + (sizes[d] == 1 ? 0 : i);
  }
  return static_cast<std::size_t>(at);
}

/// clamp(rint(v) + zero_point), never below the zero point with `relu`.
inline int limited(float v, std::int64_t zero_point, DType dtype, bool relu) {
  const double lo = dtype == quint8 ? 0 : -128;
  const double hi = dtype == quint8 ? 255 : 127;
  const double r = std::nearbyint(static_cast<double>(v)) + static_cast<double>(zero_point);
  return static_cast<int>(std::min(std::max(r, relu ? static_cast<double>(zero_point) : lo), hi));
}

}  // namespace qconv::test
