// Functions of one number: over float32 as loops, over 8-bit integers as lookup tables.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/unary.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "ops/byte_map.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"
#include "tensor/dense_format.hpp"

namespace qconv {
namespace {

// One function each, for float and double; `a` and `b` are alpha and beta. NaN stays NaN.
struct Functions {
  template <class T>
  static T abs(T x, T, T) {
    return std::abs(x);
  }
  template <class T>
  static T affine(T x, T a, T b) {
    return a * x + b;
  }
  template <class T>
  static T ceil(T x, T, T) {
    return std::ceil(x);
  }
  template <class T>
  static T elu(T x, T a, T) {
    return x < 0 ? a * std::expm1(x) : x;
  }
  template <class T>
  static T erf(T x, T, T) {
    return std::erf(x);
  }
  template <class T>
  static T exp(T x, T, T) {
    return std::exp(x);
  }
  template <class T>
  static T floor(T x, T, T) {
    return std::floor(x);
  }
  template <class T>
  static T gelu(T x, T, T) {
    return x * (T{1} + std::erf(x / std::numbers::sqrt2_v<T>)) / T{2};
  }
  template <class T>
  static T gelu_tanh(T x, T, T) {
    const T inner = std::sqrt(T{2} * std::numbers::inv_pi_v<T>) * (x + static_cast<T>(0.044715) * x * x * x);
    return x * (T{1} + std::tanh(inner)) / T{2};
  }
  template <class T>
  static T hardsigmoid(T x, T a, T b) {
    return clamp01(a * x + b);
  }
  template <class T>
  static T hardswish(T x, T, T) {
    return x * clamp01(x / T{6} + T{1} / T{2});
  }
  template <class T>
  static T leaky_relu(T x, T a, T) {
    return x < 0 ? a * x : x;
  }
  template <class T>
  static T log(T x, T, T) {
    return std::log(x);
  }
  template <class T>
  static T mish(T x, T, T) {
    return x * std::tanh(softplus(x, T{}, T{}));
  }
  template <class T>
  static T neg(T x, T, T) {
    return -x;
  }
  template <class T>
  static T pow(T x, T a, T) {
    return std::pow(x, a);
  }
  template <class T>
  static T reciprocal(T x, T, T) {
    return T{1} / x;
  }
  template <class T>
  static T sigmoid(T x, T, T) {
    return T{1} / (T{1} + std::exp(-x));
  }
  template <class T>
  static T silu(T x, T, T) {
    return x / (T{1} + std::exp(-x));
  }
  template <class T>
  static T softplus(T x, T, T) {
    // The larger part is taken out, so that nothing overflows.
    return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
  }
  template <class T>
  static T sqrt(T x, T, T) {
    return std::sqrt(x);
  }
  template <class T>
  static T tanh(T x, T, T) {
    return std::tanh(x);
  }

 private:
  template <class T>
  static T clamp01(T v) {
    const T raised = v < 0 ? T{0} : v;
    return raised > 1 ? T{1} : raised;
  }
};

struct Row {
  UnaryKind kind;
  std::string_view name;
  int parameters;  // how many of alpha and beta it reads
  double (*exact)(double, double, double);
  void (*run)(const float* x, float* y, std::int64_t count, float a, float b);
};

template <float (*F)(float, float, float)>
void run_all(const float* x, float* y, std::int64_t count, float a, float b) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = F(x[i], a, b);
}

// Ordered as the enumeration.
#define QCONV_UNARY(name, parameters) \
  Row { UnaryKind::name, #name, parameters, &Functions::name<double>, &run_all<&Functions::name<float>> }
constexpr std::array kTable{
    QCONV_UNARY(abs, 0),         QCONV_UNARY(affine, 2),     QCONV_UNARY(ceil, 0),
    QCONV_UNARY(elu, 1),         QCONV_UNARY(erf, 0),        QCONV_UNARY(exp, 0),
    QCONV_UNARY(floor, 0),       QCONV_UNARY(gelu, 0),       QCONV_UNARY(gelu_tanh, 0),
    QCONV_UNARY(hardsigmoid, 2), QCONV_UNARY(hardswish, 0),  QCONV_UNARY(leaky_relu, 1),
    QCONV_UNARY(log, 0),         QCONV_UNARY(mish, 0),       QCONV_UNARY(neg, 0),
    QCONV_UNARY(pow, 1),         QCONV_UNARY(reciprocal, 0), QCONV_UNARY(sigmoid, 0),
    QCONV_UNARY(silu, 0),        QCONV_UNARY(softplus, 0),   QCONV_UNARY(sqrt, 0),
    QCONV_UNARY(tanh, 0),
};
#undef QCONV_UNARY

const Row& row_of(UnaryKind kind) { return kTable[static_cast<std::size_t>(kind)]; }

// Elements that one task handles.
constexpr std::int64_t kGrain = 16384;

}  // namespace

std::string_view to_string(UnaryKind kind) noexcept { return row_of(kind).name; }

float Unary::operator()(float x) const noexcept {
  return static_cast<float>(
      row_of(kind).exact(static_cast<double>(x), static_cast<double>(alpha), static_cast<double>(beta)));
}

std::string Unary::to_string() const {
  const Row& row = row_of(kind);
  if (row.parameters == 0) return std::string(row.name);
  return row.parameters == 1 ? fmt::format("{}({})", row.name, alpha)
                             : fmt::format("{}({}, {})", row.name, alpha, beta);
}

namespace functional {

Tensor unary(const Tensor& input, const Unary& function) {
  const Row& row = row_of(function.kind);
  ops::check_float(row.name, input);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  parallel_chunks(*engines::float_pool(), x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    row.run(from + begin, to + begin, end - begin, function.alpha, function.beta);
  });
  return y;
}

}  // namespace functional

namespace ops {

ByteMap unary_map(const Unary& function, DType from, const QParams& in_qparams, DType to,
                  const QParams& out_qparams) {
  const Affine in = affine_of(Tensor::empty_quantized({0}, from, in_qparams));
  const Affine out = affine_of(Tensor::empty_quantized({0}, to, out_qparams));
  return make_byte_map(from, [&](int q) {
    const float y = function(math::dequantize_one(q, in.scale, in.zero_point));
    // A function may leave its domain (log below 0): that is the zero point, as the real 0.
    return std::isnan(y) ? out.zero_point
                         : math::quantize_one(y, out.inverse, out.zero_point, out.lo, out.hi);
  });
}

Tensor unary(const Tensor& qx, const Unary& function, double output_scale, std::int64_t output_zero_point,
             OutputDType output_dtype) {
  const std::string_view who = to_string(function.kind);
  check_int8(who, qx);
  const DType dtype = output_dtype.value_or(qx.dtype());
  check<TypeError>(dtype == quint8 || dtype == qint8, "{}: the output must be quint8 or qint8, got {}", who,
                   to_string(dtype));
  const QParams qparams = QParams::per_tensor(output_scale, output_zero_point);
  check_qparams(qparams, qx.sizes(), dtype, who);
  return mapped(qx, unary_map(function, qx.dtype(), qx.qparams(), dtype, qparams), dtype, qparams);
}

}  // namespace ops
}  // namespace qconv
