#pragma once

#include <qconv/tensor.hpp>

namespace qconv {

/// The memory format an element-wise result should have: channels-last when the input is that and not row
/// major too. Sizes of 1 can make a tensor both; then the strides of those dimensions say what it was made
/// as.
inline MemoryFormat dense_format(const Tensor& t) {
  if (t.numel() == 0 || !t.is_contiguous(MemoryFormat::channels_last)) return MemoryFormat::contiguous;
  const bool channels_last =
      !t.is_contiguous() || (t.strides() == dense_strides(t.sizes(), MemoryFormat::channels_last) &&
                             t.strides() != dense_strides(t.sizes(), MemoryFormat::contiguous));
  return channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

}  // namespace qconv
