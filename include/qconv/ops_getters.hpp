#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/packed_params.hpp>

namespace qconv::ops {

/// PyTorch's getters of packed parameters: `conv2d_stride(packed)`, ..., one set per operator. Each refuses,
/// with a ValueError, packed parameters of another dimension or kind. `*_transpose` is 1 for transposed
/// convolutions, else 0.
#define QCONV_DECLARE_GETTERS(op)                                                      \
  QCONV_API std::vector<std::int64_t> op##_stride(const PackedParams& packed);         \
  QCONV_API std::vector<std::int64_t> op##_padding(const PackedParams& packed);        \
  QCONV_API std::vector<std::int64_t> op##_output_padding(const PackedParams& packed); \
  QCONV_API std::vector<std::int64_t> op##_dilation(const PackedParams& packed);       \
  QCONV_API std::int64_t op##_groups(const PackedParams& packed);                      \
  QCONV_API std::int64_t op##_transpose(const PackedParams& packed);

QCONV_DECLARE_GETTERS(conv1d)
QCONV_DECLARE_GETTERS(conv2d)
QCONV_DECLARE_GETTERS(conv3d)
QCONV_DECLARE_GETTERS(conv_transpose1d)
QCONV_DECLARE_GETTERS(conv_transpose2d)
QCONV_DECLARE_GETTERS(conv_transpose3d)

#undef QCONV_DECLARE_GETTERS

/// Sizes and geometry of packed parameters, without unpacking them.
struct ConvSizes {
  Shape weight;
  std::optional<Shape> bias;
  std::vector<std::int64_t> stride;
  std::vector<std::int64_t> padding;
  std::vector<std::int64_t> dilation;
  std::int64_t groups = 1;
};

/// For 2-D convolutions, transposed or not; refuses others with a ValueError.
QCONV_API ConvSizes conv2d_unpack_sizes(const PackedParams& packed);

}  // namespace qconv::ops
