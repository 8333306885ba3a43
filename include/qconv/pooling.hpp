#pragma once

#include <optional>

#include <qconv/export.hpp>
#include <qconv/int_list.hpp>

namespace qconv {

/// How a pooling window moves over the spatial dimensions of an (N, C, spatial...) tensor. Names and defaults
/// are PyTorch's; every list may also have one value for each spatial dimension.
///
/// Output size: floor((input + padding - dilation * (kernel_size - 1) - 1) / stride) + 1, or, with
/// `ceil_mode`, the ceiling, less windows that would start beyond the input and its padding at the beginning.
struct QCONV_API Pooling {
  IntList kernel_size;
  /// The kernel size when absent.
  std::optional<IntList> stride = std::nullopt;
  /// Smaller than the (dilated) kernel on either side; two values per dimension (all begins, then all ends)
  /// pad the sides differently. Maxima never look at the padding; averages take it for real zeros.
  Padding padding = 0;
  IntList dilation = 1;
  bool ceil_mode = false;
  /// Averages only: whether taps in the padding count in the divisor. Taps beyond the padding, which
  /// ceil_mode makes, never do.
  bool count_include_pad = true;
};

}  // namespace qconv
