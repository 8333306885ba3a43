// Functions of one element, or of two at the same place.
#include <cmath>
#include <limits>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
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
  parallel_chunks(*current_pool(), x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = map[from[i]];
  });
}

namespace {

// The shape that two shapes broadcast to.
Shape broadcast_sizes(std::string_view who, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result = Shape::filled(rank, 1);
  for (int d = 0; d < rank; ++d) {
    const int da = d - (rank - a.rank());
    const int db = d - (rank - b.rank());
    const std::int64_t sa = da < 0 ? 1 : a[da];
    const std::int64_t sb = db < 0 ? 1 : b[db];
    check(sa == sb || sa == 1 || sb == 1, "{}: sizes {} and {} cannot be broadcast to each other", who, a, b);
    result[d] = sa == 1 ? sb : sa;
  }
  return result;
}

// `x` seen with `sizes`: repeated dimensions have stride 0.
Tensor expand(const Tensor& x, const Shape& sizes) {
  if (x.sizes() == sizes) return x;
  Shape strides = Shape::filled(sizes.rank(), 0);
  for (int d = 0; d < x.dim(); ++d) {
    const int to = d + sizes.rank() - x.dim();
    strides[to] = x.sizes()[d] == 1 ? 0 : x.strides()[d];
  }
  auto owner = std::make_shared<Tensor>(x);
  return Tensor::from_blob(owner->raw_mutable_data(), sizes, strides, x.dtype(), owner,
                           x.is_quantized() ? std::optional(x.qparams()) : std::nullopt);
}

// Both operands with the sizes of the result, dense in one format.
struct Operands {
  Tensor a, b;
  MemoryFormat format;
};

Operands broadcast(std::string_view who, const Tensor& a, const Tensor& b) {
  const Shape sizes = broadcast_sizes(who, a.sizes(), b.sizes());
  const MemoryFormat format = dense_format(a.sizes() == sizes ? a : b);
  return {expand(a, sizes).contiguous(format), expand(b, sizes).contiguous(format), format};
}

// See quantize.cpp: rint of a small float that the compiler vectorizes.
inline float round_small(float v) noexcept {
  constexpr float kShift = 12582912.0F;
  return (v + kShift) - kShift;
}

template <class T>
void add_run(const T* a, const T* b, T* y, std::int64_t count, const Affine& qa, const Affine& qb,
             const Affine& qy, std::int32_t floor) {
  const auto lo = static_cast<float>(std::max(qy.lo, floor) - qy.zero_point);
  const auto hi = static_cast<float>(qy.hi - qy.zero_point);
  for (std::int64_t i = 0; i < count; ++i) {
    const float sum = qa.scale * static_cast<float>(a[i] - qa.zero_point) +
                      qb.scale * static_cast<float>(b[i] - qb.zero_point);
    const float limited = math::clamp_float(sum * qy.inverse, lo, hi);
    y[i] = static_cast<T>(static_cast<std::int32_t>(round_small(limited)) + qy.zero_point);
  }
}

Tensor add_int8(std::string_view who, const Tensor& a, const Tensor& b, double scale, std::int64_t zero_point,
                bool relu) {
  check_int8(who, a, "first input");
  check_int8(who, b, "second input");
  check<TypeError>(a.dtype() == b.dtype(), "{}: both inputs must have one dtype, got {} and {}", who,
                   to_string(a.dtype()), to_string(b.dtype()));
  const QParams qparams = output_qparams(who, a, scale, zero_point);
  const Operands x = broadcast(who, a, b);
  Tensor y = Tensor::empty_quantized(x.a.sizes(), a.dtype(), qparams, x.format);
  const Affine qa = affine_of(a);
  const Affine qb = affine_of(b);
  const Affine qy = affine_of(y);
  const std::int32_t floor = relu ? qy.zero_point : qy.lo;
  with_int8_type(a.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* pa = x.a.template data<T>();
    const T* pb = x.b.template data<T>();
    T* py = y.template mutable_data<T>();
    parallel_chunks(*current_pool(), y.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      add_run(pa + begin, pb + begin, py + begin, end - begin, qa, qb, qy, floor);
    });
  });
  return y;
}

// y = map[x], with these parameters and this dtype.
Tensor mapped(const Tensor& x, const ByteMap& map, DType dtype, const QParams& qparams) {
  const MemoryFormat format = dense_format(x);
  Tensor y = Tensor::empty_quantized(x.sizes(), dtype, qparams, format);
  apply_byte_map(map, x.contiguous(format), y);
  return y;
}

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

Tensor add(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return add_int8("add", qa, qb, output_scale, output_zero_point, false);
}
Tensor add_relu(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return add_int8("add_relu", qa, qb, output_scale, output_zero_point, true);
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

Tensor add(const Tensor& a, const Tensor& b) {
  ops::check_float("add", a, "first input");
  ops::check_float("add", b, "second input");
  const ops::Operands x = ops::broadcast("add", a, b);
  Tensor y = Tensor::empty(x.a.sizes(), float32, x.format);
  const float* pa = x.a.data<float>();
  const float* pb = x.b.data<float>();
  float* py = y.mutable_data<float>();
  parallel_chunks(*engines::float_pool(), y.numel(), ops::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) py[i] = pa[i] + pb[i];
  });
  return y;
}

}  // namespace functional
}  // namespace qconv
