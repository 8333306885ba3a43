#include "io/promised_size.hpp"

#include <algorithm>

namespace qconv {

std::optional<std::uint64_t> promised_bytes(const Shape& sizes, DType dtype) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  auto bytes = static_cast<std::int64_t>(element_size(dtype));
  bool empty = false;
  for (const std::int64_t size : sizes) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes) || bytes > kMost)
      return std::nullopt;
  }
  return empty ? 0 : static_cast<std::uint64_t>(bytes);
}

}  // namespace qconv
