#pragma once

#include <qconv/ops.hpp>

namespace qconv::ops {

/// Checks weight, bias and `geometry` (whose channels come from the weight) and packs them, in the name of
/// `who`.
PackedParams prepack(std::string_view who, const Tensor& weight, const Bias& bias, ConvGeometry geometry,
                     const Padding& padding, const PrepackOptions& options);

}  // namespace qconv::ops
