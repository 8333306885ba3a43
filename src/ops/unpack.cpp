// Unpacking and the getters: what packed parameters can be asked.
#include <qconv/ops.hpp>
#include <qconv/ops_getters.hpp>

#include "ops/packed_checks.hpp"
#include "support/check.hpp"

namespace qconv::ops {

const ConvPackedParams& checked(std::string_view who, const PackedParams& packed, int ndim, bool transposed) {
  check(packed != nullptr, "{}: the packed parameters are null; call conv{}{}d_prepack first", who,
        transposed ? "_transpose" : "", ndim);
  const ConvGeometry& g = packed->geometry();
  check(g.ndim == ndim && g.transposed == transposed,
        "{}: the packed parameters are those of a {}, expected conv{}{}d", who, g.name(),
        transposed ? "_transpose" : "", ndim);
  return *packed;
}

Unpacked conv_unpack(const PackedParams& packed) { return conv2d_unpack(packed); }

#define QCONV_DEFINE_GETTERS(op, ndim, transposed)                               \
  Unpacked op##_unpack(const PackedParams& p) {                                  \
    return checked(#op "_unpack", p, ndim, transposed).unpack();                 \
  }                                                                              \
  std::vector<std::int64_t> op##_stride(const PackedParams& p) {                 \
    return checked(#op "_stride", p, ndim, transposed).stride();                 \
  }                                                                              \
  std::vector<std::int64_t> op##_padding(const PackedParams& p) {                \
    return checked(#op "_padding", p, ndim, transposed).padding();               \
  }                                                                              \
  std::vector<std::int64_t> op##_output_padding(const PackedParams& p) {         \
    return checked(#op "_output_padding", p, ndim, transposed).output_padding(); \
  }                                                                              \
  std::vector<std::int64_t> op##_dilation(const PackedParams& p) {               \
    return checked(#op "_dilation", p, ndim, transposed).dilation();             \
  }                                                                              \
  std::int64_t op##_groups(const PackedParams& p) {                              \
    return checked(#op "_groups", p, ndim, transposed).groups();                 \
  }                                                                              \
  std::int64_t op##_transpose(const PackedParams& p) {                           \
    return checked(#op "_transpose", p, ndim, transposed).transpose() ? 1 : 0;   \
  }

QCONV_DEFINE_GETTERS(conv1d, 1, false)
QCONV_DEFINE_GETTERS(conv2d, 2, false)
QCONV_DEFINE_GETTERS(conv3d, 3, false)
QCONV_DEFINE_GETTERS(conv_transpose1d, 1, true)
QCONV_DEFINE_GETTERS(conv_transpose2d, 2, true)
QCONV_DEFINE_GETTERS(conv_transpose3d, 3, true)
#undef QCONV_DEFINE_GETTERS

ConvSizes conv2d_unpack_sizes(const PackedParams& packed) {
  const bool transposed = packed != nullptr && packed->transpose();
  const ConvPackedParams& p = checked("conv2d_unpack_sizes", packed, 2, transposed);
  const std::optional<Tensor>& bias = p.bias();
  return {.weight = p.weight().sizes(),
          .bias = bias ? std::optional(bias->sizes()) : std::nullopt,
          .stride = p.stride(),
          .padding = p.padding(),
          .dilation = p.dilation(),
          .groups = p.groups()};
}

}  // namespace qconv::ops
