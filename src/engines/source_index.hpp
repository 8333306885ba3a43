#pragma once

#include <algorithm>
#include <cstdint>

#include <qconv/conv_problem.hpp>

namespace qconv::engines {

/// The element that position `i` of a dimension of `size` elements shows, when it may lie in the padding: an
/// index, or -1 for zero padding (a real zero, that is the input's zero point).
inline std::int64_t padded_index(PaddingMode mode, std::int64_t i, std::int64_t size) noexcept {
  if (i >= 0 && i < size) return i;
  switch (mode) {
    case PaddingMode::zeros:
      return -1;
    case PaddingMode::reflect:
      return i < 0 ? -i : 2 * (size - 1) - i;
    case PaddingMode::replicate:
      return std::clamp<std::int64_t>(i, 0, size - 1);
    case PaddingMode::circular:
      return i < 0 ? i + size : i - size;
  }
  return -1;
}

/// The same for positions that no tap may read, between those of a strided convolution: beyond what the
/// padding mode defines they are -1, too.
inline std::int64_t padded_index_or_none(PaddingMode mode, std::int64_t i, std::int64_t size) noexcept {
  const std::int64_t at = padded_index(mode, i, size);
  return at < size ? std::max<std::int64_t>(at, -1) : -1;
}

/// The index, along dimension `d`, of the input element that tap `k` of output position `o` reads, or -1 when
/// it reads zero padding or, transposed, nothing. A transposed convolution is the adjoint: tap k of input i
/// lands on output i * stride - padding + k * dilation.
inline std::int64_t source_index(const ConvGeometry& g, std::size_t d, std::int64_t o, std::int64_t k,
                                 std::int64_t input_size) noexcept {
  if (g.transposed) {
    const std::int64_t reach = o + g.padding_begin[d] - k * g.dilation[d];
    return reach % g.stride[d] == 0 ? padded_index(PaddingMode::zeros, reach / g.stride[d], input_size) : -1;
  }
  return padded_index(g.padding_mode, o * g.stride[d] - g.padding_begin[d] + k * g.dilation[d], input_size);
}

}  // namespace qconv::engines
