#pragma once

#include <qconv/shape.hpp>

namespace qconv {

/// Order of a dense tensor in memory. Sizes are always given as (N, C, spatial...).
enum class MemoryFormat {
  contiguous,     ///< row major: the last dimension varies fastest
  channels_last,  ///< NLC, NHWC or NDHWC: channels vary fastest; ranks 3, 4 and 5
};

/// The strides, in elements, of a dense tensor of `sizes` in `format`. Throws ValueError when the format is
/// channels_last and the rank is not 3, 4 or 5.
QCONV_API Shape dense_strides(const Shape& sizes, MemoryFormat format);

}  // namespace qconv
