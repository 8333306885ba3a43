#pragma once

#include <algorithm>
#include <cstdint>

#include <qconv/conv_problem.hpp>

namespace qconv::engines {

/// The index, along dimension `d`, of the input element that tap `k` of output position `o` reads, or -1 when
/// it reads the padding (a real zero, that is the input's zero point). A transposed convolution is the
/// adjoint: tap k of input i lands on output i * stride - padding + k * dilation.
inline std::int64_t source_index(const ConvGeometry& g, std::size_t d, std::int64_t o, std::int64_t k,
                                 std::int64_t input_size) noexcept {
  if (g.transposed) {
    const std::int64_t reach = o + g.padding_begin[d] - k * g.dilation[d];
    if (reach < 0 || reach % g.stride[d] != 0) return -1;
    const std::int64_t i = reach / g.stride[d];
    return i < input_size ? i : -1;
  }
  const std::int64_t i = o * g.stride[d] - g.padding_begin[d] + k * g.dilation[d];
  if (i >= 0 && i < input_size) return i;
  switch (g.padding_mode) {
    case PaddingMode::zeros:
      return -1;
    case PaddingMode::reflect:
      return i < 0 ? -i : 2 * (input_size - 1) - i;
    case PaddingMode::replicate:
      return std::clamp<std::int64_t>(i, 0, input_size - 1);
    case PaddingMode::circular:
      return i < 0 ? i + input_size : i - input_size;
  }
  return -1;
}

}  // namespace qconv::engines
