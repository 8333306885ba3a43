// Functions of two numbers at the same place, with NumPy's broadcasting.
#include <cmath>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
#include "ops/broadcast.hpp"
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

// Runs a kernel over the rows of two quantized operands. `fill` sets what depends on the operation.
template <class Fill>
Tensor combine_int8(std::string_view who, const Tensor& a, const Tensor& b, double scale,
                    std::int64_t zero_point, bool relu,
                    engines::rows::Combines engines::rows::Kernels::*kernel, const Fill& fill) {
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
  engines::rows::Combine args{};
  args.a_zero = qa.zero_point;
  args.b_zero = qb.zero_point;
  args.y_zero = qy.zero_point;
  args.lo = static_cast<float>((relu ? qy.zero_point : qy.lo) - qy.zero_point);
  args.hi = static_cast<float>(qy.hi - qy.zero_point);
  fill(args, qa, qb, qy);
  const auto run = engines::rows::kernels(a.dtype() == qint8).*kernel;
  const auto* pa = static_cast<const std::byte*>(x.a().raw_data());
  const auto* pb = static_cast<const std::byte*>(x.b().raw_data());
  auto* py = static_cast<std::byte*>(y.raw_mutable_data());
  x.for_each_row(*current_pool(), [&](std::int64_t ao, std::int64_t as, std::int64_t bo, std::int64_t bs,
                                      std::int64_t yo, std::int64_t count) {
    engines::rows::Combine row = args;
    row.a = pa + ao;
    row.b = pb + bo;
    row.y = py + yo;
    row.count = count;
    row.a_step = as;
    row.b_step = bs;
    run(row);
  });
  return y;
}

// +1 for sums, -1 for differences.
Tensor add_int8(std::string_view who, const Tensor& a, const Tensor& b, float sign, double scale,
                std::int64_t zero_point, bool relu) {
  return combine_int8(who, a, b, scale, zero_point, relu, &engines::rows::Kernels::add,
                      [sign](engines::rows::Combine& args, const ops::Affine& qa, const ops::Affine& qb,
                             const ops::Affine& qy) {
                        args.a_scale = qa.scale;
                        args.b_scale = sign * qb.scale;
                        args.inverse = qy.inverse;
                      });
}

Tensor mul_int8(std::string_view who, const Tensor& a, const Tensor& b, double scale, std::int64_t zero_point,
                bool relu) {
  return combine_int8(
      who, a, b, scale, zero_point, relu, &engines::rows::Kernels::mul,
      [&](engines::rows::Combine& args, const ops::Affine&, const ops::Affine&, const ops::Affine&) {
        args.inverse = static_cast<float>(a.q_scale() * b.q_scale() / scale);
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
