// Functions of two numbers at the same place, with NumPy's broadcasting.
#include <cmath>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "ops/broadcast.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// y[i] = f(a[i * a_step], b[i * b_step]) with the steps known to the compiler, so that the loop vectorizes.
template <class A, class B, class Y, class F>
void combine(const A* a, std::int64_t a_step, const B* b, std::int64_t b_step, Y* y, std::int64_t count,
             const F& f) {
  if (a_step == 1 && b_step == 1) {
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
  } else if (a_step == 1) {
    const B once = b[0];
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], once);
  } else if (b_step == 1) {
    const A once = a[0];
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(once, b[i]);
  } else {
    const Y once = f(a[0], b[0]);
    for (std::int64_t i = 0; i < count; ++i) y[i] = once;
  }
}

template <class F>
Tensor combine_floats(std::string_view who, const Tensor& a, const Tensor& b, const F& f) {
  ops::check_float(who, a, "first input");
  ops::check_float(who, b, "second input");
  const ops::Broadcast x(who, a, b);
  Tensor y = Tensor::empty(x.sizes(), float32, x.format());
  const float* pa = x.a().data<float>();
  const float* pb = x.b().data<float>();
  float* py = y.mutable_data<float>();
  x.for_each_row(*engines::float_pool(),
                 [&](std::int64_t ao, std::int64_t as, std::int64_t bo, std::int64_t bs, std::int64_t yo,
                     std::int64_t count) { combine(pa + ao, as, pb + bo, bs, py + yo, count, f); });
  return y;
}

// `real(a - za, b - zb)` is the result in units of the output scale.
template <class Real>
Tensor combine_int8(std::string_view who, const Tensor& a, const Tensor& b, double scale,
                    std::int64_t zero_point, bool relu, const Real& make_real) {
  ops::check_int8(who, a, "first input");
  ops::check_int8(who, b, "second input");
  check<TypeError>(a.dtype() == b.dtype(), "{}: both inputs must have one dtype, got {} and {}", who,
                   to_string(a.dtype()), to_string(b.dtype()));
  const QParams qparams = ops::output_qparams(who, a, scale, zero_point);
  const ops::Broadcast x(who, a, b);
  Tensor y = Tensor::empty_quantized(x.sizes(), a.dtype(), qparams, x.format());
  const ops::Affine qa = ops::affine_of(a);
  const ops::Affine qb = ops::affine_of(b);
  const ops::Affine qy = ops::affine_of(y);
  const auto lo = static_cast<float>(std::max(qy.lo, relu ? qy.zero_point : qy.lo) - qy.zero_point);
  const auto hi = static_cast<float>(qy.hi - qy.zero_point);
  const auto real = make_real(qa, qb, qy);
  ops::with_int8_type(a.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* pa = x.a().template data<T>();
    const T* pb = x.b().template data<T>();
    T* py = y.template mutable_data<T>();
    const auto one = [&, za = qa.zero_point, zb = qb.zero_point, zy = qy.zero_point](T p, T q) {
      const float limited = math::clamp_float(real(p - za, q - zb), lo, hi);
      return static_cast<T>(math::round_small(limited) + zy);
    };
    x.for_each_row(*current_pool(),
                   [&](std::int64_t ao, std::int64_t as, std::int64_t bo, std::int64_t bs, std::int64_t yo,
                       std::int64_t count) { combine(pa + ao, as, pb + bo, bs, py + yo, count, one); });
  });
  return y;
}

// +1 for sums, -1 for differences.
Tensor add_int8(std::string_view who, const Tensor& a, const Tensor& b, float sign, double scale,
                std::int64_t zero_point, bool relu) {
  return combine_int8(who, a, b, scale, zero_point, relu,
                      [sign](const ops::Affine& qa, const ops::Affine& qb, const ops::Affine& qy) {
                        return [sa = qa.scale, sb = sign * qb.scale, inverse = qy.inverse](std::int32_t p,
                                                                                           std::int32_t q) {
                          return (sa * static_cast<float>(p) + sb * static_cast<float>(q)) * inverse;
                        };
                      });
}

Tensor mul_int8(std::string_view who, const Tensor& a, const Tensor& b, double scale, std::int64_t zero_point,
                bool relu) {
  return combine_int8(who, a, b, scale, zero_point, relu,
                      [&](const ops::Affine&, const ops::Affine&, const ops::Affine&) {
                        return [m = static_cast<float>(a.q_scale() * b.q_scale() / scale)](
                                   std::int32_t p, std::int32_t q) { return static_cast<float>(p * q) * m; };
                      });
}

}  // namespace

namespace ops {

Tensor add(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return add_int8("add", qa, qb, 1, output_scale, output_zero_point, false);
}
Tensor add_relu(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return add_int8("add_relu", qa, qb, 1, output_scale, output_zero_point, true);
}
Tensor sub(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return add_int8("sub", qa, qb, -1, output_scale, output_zero_point, false);
}
Tensor mul(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return mul_int8("mul", qa, qb, output_scale, output_zero_point, false);
}
Tensor mul_relu(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point) {
  return mul_int8("mul_relu", qa, qb, output_scale, output_zero_point, true);
}

}  // namespace ops

namespace functional {

Tensor add(const Tensor& a, const Tensor& b) {
  return combine_floats("add", a, b, [](float x, float y) { return x + y; });
}
Tensor sub(const Tensor& a, const Tensor& b) {
  return combine_floats("sub", a, b, [](float x, float y) { return x - y; });
}
Tensor mul(const Tensor& a, const Tensor& b) {
  return combine_floats("mul", a, b, [](float x, float y) { return x * y; });
}
Tensor div(const Tensor& a, const Tensor& b) {
  return combine_floats("div", a, b, [](float x, float y) { return x / y; });
}
Tensor pow(const Tensor& a, const Tensor& b) {
  return combine_floats("pow", a, b, [](float x, float y) { return std::pow(x, y); });
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return combine_floats("minimum", a, b, [](float x, float y) { return y < x || y != y ? y : x; });
}
Tensor maximum(const Tensor& a, const Tensor& b) {
  return combine_floats("maximum", a, b, [](float x, float y) { return y > x || y != y ? y : x; });
}

}  // namespace functional
}  // namespace qconv
