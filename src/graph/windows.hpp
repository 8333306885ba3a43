#pragma once

#include "graph/ir.hpp"

namespace qconv::graph {

/// The spatial sizes of (N, C, spatial...) with 1 in front where there are fewer than three. Throws
/// ValueError unless `sizes` has `ndim` + 2 of them.
Spatial spatial_of(const Shape& sizes, int ndim, std::string_view who);

/// `geometry` with the padding that `auto_pad` and `output_shape` mean for an input of these spatial sizes
/// (kDynamic is allowed where the padding does not depend on the size). ONNX's formulas: "same" gives
/// ceil(input / stride) outputs, or input * stride when transposed; the odd element of padding goes to the
/// end for same_upper. Returns nothing when a size that matters is dynamic.
std::optional<ConvGeometry> resolve_padding(ConvGeometry geometry, AutoPad auto_pad,
                                            const std::vector<std::int64_t>& output_shape,
                                            const Spatial& input);

/// Output sizes of a pooling window whose padding is resolved. With `ceil_mode` the last window may hang over
/// the end, if it starts inside the input or its padding (PyTorch's rule, and onnxruntime's).
Spatial pooled_spatial(const ConvGeometry& window, const Spatial& input, bool ceil_mode) noexcept;

/// Sizes of a Resize with factors: floor(size * scale).
Shape scaled_sizes(const Shape& sizes, const std::vector<float>& scales);

}  // namespace qconv::graph
