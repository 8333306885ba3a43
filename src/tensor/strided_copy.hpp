#pragma once

#include <cstddef>

#include <qconv/shape.hpp>

namespace qconv {

/// Copies `sizes` elements of `element_size` bytes from one strided layout to another; strides are in
/// elements. The memories must not overlap.
void strided_copy(void* target, const Shape& target_strides, const void* source, const Shape& source_strides,
                  const Shape& sizes, std::size_t element_size);

}  // namespace qconv
