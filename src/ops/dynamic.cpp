// The dynamic forms: quantize a float input over its own range, convolve, dequantize.
#include <algorithm>
#include <cmath>

#include <qconv/quantize.hpp>

#include "ops/packed_checks.hpp"
#include "ops/run.hpp"
#include "quantize/choose_qparams.hpp"
#include "support/check.hpp"
#include "tensor/dense_format.hpp"

namespace qconv::ops {
namespace {

Tensor run_dynamic(std::string_view who, const ConvPackedParams& packed, const Tensor& x, bool reduce_range) {
  check(x.defined(), "{}: the input is undefined", who);
  check<TypeError>(x.dtype() == float32, "{}: expected a float32 input, got {}", who, to_string(x.dtype()));
  const Tensor dense = x.contiguous(dense_format(x));
  const float* values = dense.data<float>();
  float min = 0;
  float max = 0;
  if (dense.numel() > 0) {
    const auto [lo, hi] = std::minmax_element(values, values + dense.numel());
    min = *lo;
    max = *hi;
  }
  check(std::isfinite(min) && std::isfinite(max), "{}: the input's range [{}, {}] is not finite", who, min,
        max);
  // PyTorch uses the input's parameters for the output too (torch-semantics 1.8).
  const ChosenQParams q = choose_qparams(min, max, 0, 255, false, reduce_range);
  const Tensor qx = quantize_per_tensor(dense, q.scale, q.zero_point, quint8);
  return run(packed, {who, qx, nullptr, q.scale, q.zero_point, std::nullopt}).dequantize();
}

}  // namespace

#define QCONV_DEFINE_DYNAMIC(op, ndim, transposed)                                                          \
  Tensor op##_dynamic(const Tensor& x, const PackedParams& packed, bool reduce_range) {                     \
    return run_dynamic(#op "_dynamic", checked(#op "_dynamic", packed, ndim, transposed), x, reduce_range); \
  }

QCONV_DEFINE_DYNAMIC(conv1d, 1, false)
QCONV_DEFINE_DYNAMIC(conv2d, 2, false)
QCONV_DEFINE_DYNAMIC(conv3d, 3, false)
QCONV_DEFINE_DYNAMIC(conv_transpose1d, 1, true)
QCONV_DEFINE_DYNAMIC(conv_transpose2d, 2, true)
QCONV_DEFINE_DYNAMIC(conv_transpose3d, 3, true)
#undef QCONV_DEFINE_DYNAMIC

}  // namespace qconv::ops
