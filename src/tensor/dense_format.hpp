#pragma once

#include <qconv/tensor.hpp>

namespace qconv {

/// The memory format an element-wise result should have: channels-last when the input is that and not row
/// major too.
inline MemoryFormat dense_format(const Tensor& t) {
  return !t.is_contiguous() && t.is_contiguous(MemoryFormat::channels_last) ? MemoryFormat::channels_last
                                                                            : MemoryFormat::contiguous;
}

}  // namespace qconv
