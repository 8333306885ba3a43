#pragma once

#include <string_view>

#include <qconv/packed_params.hpp>

namespace qconv::ops {

/// Throws, in the name of `who`, unless `packed` holds parameters of an `ndim`-D convolution, transposed or
/// not as said.
const ConvPackedParams& checked(std::string_view who, const PackedParams& packed, int ndim, bool transposed);

}  // namespace qconv::ops
