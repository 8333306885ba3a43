#pragma once

#include <cstdint>
#include <optional>

#include <qconv/dtype.hpp>
#include <qconv/shape.hpp>

namespace qconv {

/// The bytes that a dense tensor of these (non-negative) sizes takes, or nothing when it, or the strides of
/// an empty one, would not fit an address space. Nothing is allocated.
std::optional<std::uint64_t> promised_bytes(const Shape& sizes, DType dtype);

}  // namespace qconv
