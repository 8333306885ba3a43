// Limits of one element, and requantization.
#include <cmath>
#include <limits>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
#include "ops/byte_map.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"
#include "tensor/dense_format.hpp"

namespace qconv {
namespace ops {

// Elements that one task handles: enough to outweigh starting it, few enough to stay in the L2 cache.
constexpr std::int64_t kGrain = 32768;

ByteMap requantize_map(DType from, const Affine& in, const Affine& out, std::int32_t floor) {
  return make_byte_map(from, [&](int q) {
    const float real = math::dequantize_one(q, in.scale, in.zero_point);
    return math::quantize_one(real, out.inverse, out.zero_point, std::max(out.lo, floor), out.hi);
  });
}

void apply_byte_map(const ByteMap& map, const Tensor& x, Tensor& result) {
  const auto* from = static_cast<const std::uint8_t*>(x.raw_data());
  auto* to = static_cast<std::uint8_t*>(result.raw_mutable_data());
  const auto lookup = engines::rows::kernels(false).lookup;
  parallel_chunks(*current_pool(), x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    lookup({map.data(), from + begin, to + begin, end - begin});
  });
}

Tensor mapped(const Tensor& x, const ByteMap& map, DType dtype, const QParams& qparams) {
  const MemoryFormat format = dense_format(x);
  Tensor y = Tensor::empty_quantized(x.sizes(), dtype, qparams, format);
  apply_byte_map(map, x.contiguous(format), y);
  return y;
}

namespace {

// q limited to [lo, hi], which lie inside the dtype's range.
Tensor limited(const Tensor& x, std::int32_t lo, std::int32_t hi) {
  return mapped(x, make_byte_map(x.dtype(), [&](int q) { return std::clamp(q, lo, hi); }), x.dtype(),
                x.qparams());
}

}  // namespace

Tensor requantize(const Tensor& qx, double output_scale, std::int64_t output_zero_point,
                  OutputDType output_dtype) {
  check_int8("requantize", qx);
  const DType dtype = output_dtype.value_or(qx.dtype());
  check<TypeError>(dtype == quint8 || dtype == qint8,
                   "requantize: the output must be quint8 or qint8, got {}", to_string(dtype));
  const QParams qparams = QParams::per_tensor(output_scale, output_zero_point);
  check_qparams(qparams, qx.sizes(), dtype, "requantize: output");
  const Affine out = affine_of(Tensor::empty_quantized({0}, dtype, qparams));
  return mapped(qx, requantize_map(qx.dtype(), affine_of(qx), out, out.lo), dtype, qparams);
}

Tensor relu(const Tensor& qx) {
  check_int8("relu", qx);
  const Affine q = affine_of(qx);
  return limited(qx, q.zero_point, q.hi);
}

Tensor clamp(const Tensor& qx, std::optional<double> min, std::optional<double> max) {
  check_int8("clamp", qx);
  check(!min || !max || *min <= *max, "clamp: min {} exceeds max {}", min.value_or(0), max.value_or(0));
  const Affine q = affine_of(qx);
  const auto quantized = [&](double v) {
    return math::quantize_one(static_cast<float>(v), q.inverse, q.zero_point, q.lo, q.hi);
  };
  return limited(qx, min ? quantized(*min) : q.lo, max ? quantized(*max) : q.hi);
}

}  // namespace ops

namespace functional {
namespace {

Tensor limit(std::string_view who, const Tensor& input, float min, float max) {
  ops::check_float(who, input);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  parallel_chunks(*engines::float_pool(), x.numel(), ops::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      // Written so that NaN, which compares false, passes through.
      const float raised = from[i] < min ? min : from[i];
      to[i] = raised > max ? max : raised;
    }
  });
  return y;
}

}  // namespace

Tensor relu(const Tensor& input) {
  return limit("relu", input, 0.0F, std::numeric_limits<float>::infinity());
}

Tensor hardtanh(const Tensor& input, double min_val, double max_val) {
  check(min_val <= max_val, "hardtanh: min_val {} exceeds max_val {}", min_val, max_val);
  return limit("hardtanh", input, static_cast<float>(min_val), static_cast<float>(max_val));
}

Tensor clamp(const Tensor& input, std::optional<double> min, std::optional<double> max) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double lo = min.value_or(-kInfinity);
  const double hi = max.value_or(kInfinity);
  check(lo <= hi, "clamp: min {} exceeds max {}", lo, hi);
  return limit("clamp", input, static_cast<float>(lo), static_cast<float>(hi));
}

}  // namespace functional
}  // namespace qconv
