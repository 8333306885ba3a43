#include "ops/args.hpp"

#include "support/check.hpp"

namespace qconv::ops {

int wrap_dim(std::string_view who, std::int64_t dim, int rank) {
  check(dim >= -rank && dim < rank, "{}: dimension {} is out of range for tensors of rank {}", who, dim,
        rank);
  return static_cast<int>(dim < 0 ? dim + rank : dim);
}

void check_float(std::string_view who, const Tensor& x, std::string_view what) {
  check(x.defined(), "{}: the {} is undefined", who, what);
  check<TypeError>(x.dtype() == float32, "{}: expected a float32 {}, got {}{}", who, what,
                   to_string(x.dtype()), x.is_quantized() ? "; dequantize it first" : "");
}

void check_int8(std::string_view who, const Tensor& x, std::string_view what) {
  check(x.defined(), "{}: the {} is undefined", who, what);
  check<TypeError>(x.dtype() == quint8 || x.dtype() == qint8, "{}: expected a quint8 or qint8 {}, got {}{}",
                   who, what, to_string(x.dtype()),
                   x.dtype() == float32 ? "; call quantize_per_tensor first" : "");
  check<TypeError>(!x.qparams().is_per_channel(),
                   "{}: the {} must be quantized per tensor, got per-channel parameters", who, what);
}

Shape Volume::sizes() const {
  Shape sizes{batch, channels};
  for (int d = 3 - ndim; d < 3; ++d) sizes.push_back(spatial[static_cast<std::size_t>(d)]);
  return sizes;
}

Volume volume_of(std::string_view who, const Tensor& x) {
  check(x.dim() >= 3 && x.dim() <= 5, "{}: expected sizes (N, C, spatial...) of rank 3, 4 or 5, got {}", who,
        x.sizes());
  Volume v{x.dim() - 2, x.size(0), x.size(1), {1, 1, 1}};
  for (int d = 0; d < v.ndim; ++d) v.spatial[static_cast<std::size_t>(3 - v.ndim + d)] = x.size(2 + d);
  return v;
}

Affine affine_of(const Tensor& x) {
  const QParams& q = x.qparams();
  const DTypeInfo& row = info(x.dtype());
  const auto scale = static_cast<float>(q.scales[0]);
  return {scale, 1.0F / scale, static_cast<std::int32_t>(q.zero_points[0]),
          static_cast<std::int32_t>(row.quant_min), static_cast<std::int32_t>(row.quant_max)};
}

QParams output_qparams(std::string_view who, const Tensor& input, std::optional<double> scale,
                       std::optional<std::int64_t> zero_point) {
  QParams q = QParams::per_tensor(scale.value_or(input.q_scale()), zero_point.value_or(input.q_zero_point()));
  check_qparams(q, input.sizes(), input.dtype(), who, ": output");
  return q;
}

Tensor empty_like(const Tensor& like, const Shape& sizes, MemoryFormat format) {
  return like.is_quantized() ? Tensor::empty_quantized(sizes, like.dtype(), like.qparams(), format)
                             : Tensor::empty(sizes, like.dtype(), format);
}

}  // namespace qconv::ops
