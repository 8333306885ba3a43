// Functions of one and two numbers against plain loops over indices, with every kind of broadcasting.
#include <cmath>
#include <limits>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "functional/plain.hpp"
#include "functional/support.hpp"

namespace qconv {
namespace {

using test::Index;
using test::integers;
using test::random_float;
using test::random_int8;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Pairs of sizes that fit, and what they fit to.
struct Pair {
  Shape a, b, y;
};
const std::vector<Pair>& pairs() {
  static const std::vector<Pair> all = [] {
    std::vector<Pair> p{
        {{}, {}, {}},
        {{3}, {}, {3}},
        {{2, 3, 4, 5}, {2, 3, 4, 5}, {2, 3, 4, 5}},
        {{2, 3, 4, 5}, {2, 3, 1, 1}, {2, 3, 4, 5}},  // a gate per channel
        {{2, 3, 1, 1}, {2, 3, 4, 5}, {2, 3, 4, 5}},
        {{2, 3, 4, 5}, {3, 1, 1}, {2, 3, 4, 5}},
        {{2, 3, 4, 5}, {1}, {2, 3, 4, 5}},
        {{2, 3, 4, 5}, {2, 1, 4, 5}, {2, 3, 4, 5}},  // a gate per position
        {{2, 3, 4, 5}, {5}, {2, 3, 4, 5}},
        {{2, 1, 4, 1}, {1, 3, 1, 5}, {2, 3, 4, 5}},  // both repeated
        {{2, 2, 2, 3, 1, 1}, {3, 4, 5}, {2, 2, 2, 3, 4, 5}},
        {{3, 1}, {1, 4}, {3, 4}},
        {{2, 33, 3}, {2, 33, 1}, {2, 33, 3}},
        {{1, 2, 3, 4, 5}, {2, 1, 1, 5}, {1, 2, 3, 4, 5}},
        {{1, 70, 1, 1}, {1, 70, 2, 2}, {1, 70, 2, 2}},
        {{0, 3, 4, 5}, {1, 3, 1, 1}, {0, 3, 4, 5}},
        {{2, 0}, {1}, {2, 0}},
    };
    for (const std::int64_t n : {1, 7, 31, 32, 33, 63, 64, 65, 127, 130}) {
      p.push_back({{n}, {n}, {n}});
      p.push_back({{2, n}, {n}, {2, n}});
      p.push_back({{n, 2}, {n, 1}, {n, 2}});
      p.push_back({{1, n, 3, 3}, {1, n, 1, 1}, {1, n, 3, 3}});
    }
    return p;
  }();
  return all;
}

// The tensor row-major and, where its rank allows, channels-last.
std::vector<Tensor> in_both_formats(const Tensor& x) {
  std::vector<Tensor> all{x.contiguous()};
  if (x.dim() >= 3 && x.dim() <= 5) all.push_back(x.contiguous(MemoryFormat::channels_last));
  return all;
}

// Calls check(a, b, y sizes) for all pairs in all memory formats.
template <class Make, class Check>
void for_each_pair(const Make& make, const Check& check) {
  for (const Pair& p : pairs()) {
    for (const Tensor& a : in_both_formats(make(p.a, 1))) {
      for (const Tensor& b : in_both_formats(make(p.b, 2))) {
        SCOPED_TRACE(testing::Message() << p.a.to_string() << " " << p.b.to_string());
        check(a, b, p.y);
      }
    }
  }
}

// The memory format that the headers promise.
void expect_format(const Tensor& a, const Tensor& b, const Tensor& y) {
  const Tensor* like = a.sizes() == y.sizes() ? &a : b.sizes() == y.sizes() ? &b : nullptr;
  if (like == nullptr || y.numel() == 0) return;
  const bool last = like->is_contiguous(MemoryFormat::channels_last) && !like->is_contiguous();
  EXPECT_TRUE(y.is_contiguous(last ? MemoryFormat::channels_last : MemoryFormat::contiguous));
}

bool same_float(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST(FloatElementwise, FunctionsOfTwoNumbersBroadcast) {
  using Function = Tensor (*)(const Tensor&, const Tensor&);
  using Plain = float (*)(float, float);
  const std::pair<Function, Plain> functions[] = {
      {functional::add, [](float x, float y) { return x + y; }},
      {functional::sub, [](float x, float y) { return x - y; }},
      {functional::mul, [](float x, float y) { return x * y; }},
      {functional::div, [](float x, float y) { return x / y; }},
      {functional::pow, [](float x, float y) { return std::pow(x, y); }},
      {functional::minimum, [](float x, float y) { return x < y ? x : y; }},
      {functional::maximum, [](float x, float y) { return x > y ? x : y; }},
  };
  for (const auto& [function, plain] : functions) {
    for_each_pair(
        [](const Shape& s, std::uint32_t seed) { return random_float(s, seed); },
        [&, f = function, p = plain](const Tensor& a, const Tensor& b, const Shape& sizes) {
          const Tensor y = f(a, b);
          ASSERT_EQ(y.sizes(), sizes);
          expect_format(a, b, y);
          const auto va = a.to_vector<float>(), vb = b.to_vector<float>(), got = y.to_vector<float>();
          test::for_each_index(sizes, [&](std::size_t i, const Index& at) {
            const float expected = p(va[test::offset(at, a.sizes())], vb[test::offset(at, b.sizes())]);
            ASSERT_TRUE(same_float(got[i], expected)) << got[i] << " " << expected;
          });
        });
  }
}

TEST(FloatElementwise, NanAndInfinitiesOfTwoNumbers) {
  const std::vector<float> special{kNan, kInfinity, -kInfinity, 0.0F, -0.0F, 1.5F, -2.0F};
  for (const float x : special) {
    for (const float y : special) {
      const auto of = [&](auto function) {
        return function(Tensor::scalar(x), Tensor::scalar(y)).template to_vector<float>()[0];
      };
      EXPECT_TRUE(same_float(of(functional::add), x + y));
      EXPECT_TRUE(same_float(of(functional::sub), x - y));
      EXPECT_TRUE(same_float(of(functional::mul), x * y));
      EXPECT_TRUE(same_float(of(functional::div), x / y));
      const bool nan = std::isnan(x) || std::isnan(y);
      EXPECT_TRUE(same_float(of(functional::minimum), nan ? kNan : std::fmin(x, y))) << x << " " << y;
      EXPECT_TRUE(same_float(of(functional::maximum), nan ? kNan : std::fmax(x, y))) << x << " " << y;
    }
  }
}

// Each function written from its description, in double.
const std::map<UnaryKind, double (*)(double, double, double)>& descriptions() {
  static const std::map<UnaryKind, double (*)(double, double, double)> all{
      {UnaryKind::abs, [](double x, double, double) { return std::fabs(x); }},
      {UnaryKind::affine, [](double x, double a, double b) { return a * x + b; }},
      {UnaryKind::ceil, [](double x, double, double) { return std::ceil(x); }},
      {UnaryKind::elu, [](double x, double a, double) { return x < 0 ? a * (std::exp(x) - 1) : x; }},
      {UnaryKind::erf, [](double x, double, double) { return std::erf(x); }},
      {UnaryKind::exp, [](double x, double, double) { return std::exp(x); }},
      {UnaryKind::floor, [](double x, double, double) { return std::floor(x); }},
      {UnaryKind::gelu, [](double x, double, double) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }},
      {UnaryKind::gelu_tanh,
       [](double x, double, double) {
         return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * std::pow(x, 3)))) / 2;
       }},
      {UnaryKind::hardsigmoid,
       [](double x, double a, double b) { return std::min(std::max(a * x + b, 0.0), 1.0); }},
      {UnaryKind::hardswish,
       [](double x, double, double) { return x * std::min(std::max(x / 6 + 0.5, 0.0), 1.0); }},
      {UnaryKind::leaky_relu, [](double x, double a, double) { return x < 0 ? a * x : x; }},
      {UnaryKind::log, [](double x, double, double) { return std::log(x); }},
      {UnaryKind::mish, [](double x, double, double) { return x * std::tanh(std::log(1 + std::exp(x))); }},
      {UnaryKind::neg, [](double x, double, double) { return -x; }},
      {UnaryKind::pow, [](double x, double a, double) { return std::pow(x, a); }},
      {UnaryKind::reciprocal, [](double x, double, double) { return 1 / x; }},
      {UnaryKind::sigmoid, [](double x, double, double) { return 1 / (1 + std::exp(-x)); }},
      {UnaryKind::silu, [](double x, double, double) { return x / (1 + std::exp(-x)); }},
      {UnaryKind::softplus, [](double x, double, double) { return std::log(1 + std::exp(x)); }},
      {UnaryKind::sqrt, [](double x, double, double) { return std::sqrt(x); }},
      {UnaryKind::tanh, [](double x, double, double) { return std::tanh(x); }},
  };
  return all;
}

TEST(FloatElementwise, FunctionsOfOneNumberAreTheirDescriptions) {
  EXPECT_EQ(descriptions().size(), static_cast<std::size_t>(UnaryKind::tanh) + 1);
  for (const auto& [kind, plain] : descriptions()) {
    const Unary function{kind, 0.3F, -0.7F};
    SCOPED_TRACE(function.to_string());
    EXPECT_THAT(function.to_string(), testing::StartsWith(to_string(kind)));
    std::vector<float> values{-0.0F, 0.0F};
    for (int i = -130; i <= 130; ++i) values.push_back(static_cast<float>(i) * 0.0927F);
    const auto count = static_cast<std::int64_t>(values.size());
    const auto got = functional::unary(Tensor::from_data(values, {count}), function).to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double expected = plain(static_cast<double>(values[i]), 0.3F, -0.7F);
      if (std::isnan(expected) || std::isinf(expected)) {
        EXPECT_TRUE(same_float(got[i], static_cast<float>(expected))) << values[i];
        EXPECT_TRUE(same_float(function(values[i]), static_cast<float>(expected))) << values[i];
        continue;
      }
      EXPECT_NEAR(got[i], expected, 1e-6 * (1 + std::abs(expected))) << values[i];
      EXPECT_NEAR(function(values[i]), expected, 1e-6 * (1e-3 + std::abs(expected))) << values[i];
    }
    EXPECT_TRUE(std::isnan(functional::unary(Tensor::scalar(kNan), function).to_vector<float>()[0]));
    EXPECT_EQ(functional::unary(Tensor::zeros({0, 3}, float32), function).sizes(), (Shape{0, 3}));
    const Tensor last = random_float({1, 3, 4, 5}, 1, MemoryFormat::channels_last);
    EXPECT_TRUE(functional::unary(last, function).is_contiguous(MemoryFormat::channels_last));
    EXPECT_TRUE(equal(functional::unary(last, {kind, 0.5F, 2}).contiguous(),
                      functional::unary(last.contiguous(), {kind, 0.5F, 2})) ||
                kind == UnaryKind::log || kind == UnaryKind::sqrt || kind == UnaryKind::pow);
  }
}

TEST(FloatElementwise, FunctionsFarFromZero) {
  const auto at = [](UnaryKind kind, float x) {
    return functional::unary(Tensor::scalar(x), {kind, 0.2F, 0.5F}).to_vector<float>()[0];
  };
  for (const float x : {90.0F, 1e5F, 1e20F, kInfinity}) {
    for (const UnaryKind kind : {UnaryKind::silu, UnaryKind::gelu, UnaryKind::gelu_tanh, UnaryKind::hardswish,
                                 UnaryKind::mish, UnaryKind::softplus, UnaryKind::elu}) {
      EXPECT_EQ(at(kind, x), x) << to_string(kind);
    }
    for (const UnaryKind kind : {UnaryKind::sigmoid, UnaryKind::tanh, UnaryKind::erf, UnaryKind::hardsigmoid})
      EXPECT_EQ(at(kind, x), 1) << to_string(kind);
    EXPECT_LT(at(UnaryKind::softplus, -x), 1e-38F);
    EXPECT_EQ(at(UnaryKind::sigmoid, -x), std::isinf(x) || x > 100 ? 0 : 1 / (1 + std::exp(x)));
    EXPECT_EQ(at(UnaryKind::hardsigmoid, -x), 0);
    EXPECT_EQ(at(UnaryKind::elu, -x), -0.2F);
  }
}

TEST(FloatElementwise, ErrorsNameTheFunction) {
  const Tensor a = random_float({2, 3}, 1);
  const Tensor q = random_int8({2, 3}, quint8, 1, 0, 1);
  EXPECT_THAT([&] { functional::mul(a, random_float({4}, 1)); },
              ThrowsMessage<ValueError>(HasSubstr("mul: sizes (2, 3) and (4,) cannot be broadcast")));
  EXPECT_THAT([&] { functional::pow(a, q); }, ThrowsMessage<TypeError>(HasSubstr("pow: ")));
  EXPECT_THAT([&] { functional::div(Tensor(), a); }, ThrowsMessage<Error>(HasSubstr("div: ")));
  EXPECT_THAT([&] { functional::unary(q, {UnaryKind::silu}); },
              ThrowsMessage<TypeError>(HasSubstr("silu: ")));
  EXPECT_THAT([&] { ops::mul(q, random_int8({4}, quint8, 1, 0, 1), 1, 0); },
              ThrowsMessage<ValueError>(HasSubstr("mul: sizes (2, 3) and (4,) cannot be broadcast")));
  EXPECT_THAT([&] { ops::mul_relu(q, random_int8({3}, qint8, 1, 0, 1), 1, 0); },
              ThrowsMessage<TypeError>(HasSubstr("mul_relu: both inputs must have one dtype")));
  EXPECT_THAT([&] { ops::sub(q, q, -1, 0); }, ThrowsMessage<ValueError>(HasSubstr("sub: ")));
  EXPECT_THAT([&] { ops::sub(q, q, 1, 256); }, ThrowsMessage<ValueError>(HasSubstr("sub: ")));
  EXPECT_THAT([&] { ops::mul(a, q, 1, 0); }, ThrowsMessage<TypeError>(HasSubstr("mul: ")));
  EXPECT_THAT([&] { ops::unary(a, {UnaryKind::tanh}, 1, 0); }, ThrowsMessage<TypeError>(HasSubstr("tanh: ")));
  EXPECT_THAT([&] { ops::unary(q, {UnaryKind::tanh}, 1, 0, float32); },
              ThrowsMessage<TypeError>(HasSubstr("tanh: the output must be quint8 or qint8")));
  EXPECT_THAT([&] { ops::unary(q, {UnaryKind::tanh}, 0, 0); }, ThrowsMessage<ValueError>(HasSubstr("tanh")));
}

struct Params {
  DType dtype;
  double scale;
  std::int64_t zero_point;
};
const Params kParams[] = {{quint8, 0.05, 0}, {quint8, 0.31, 255}, {qint8, 0.013, -128}, {qint8, 1.0, 127}};

using Int8 = Tensor (*)(const Tensor&, const Tensor&, double, std::int64_t);

TEST(Int8Elementwise, SumsDifferencesAndProductsBroadcast) {
  struct Case {
    Int8 function;
    char kind;
    bool relu;
  };
  const Case functions[] = {{ops::add, '+', false},
                            {ops::add_relu, '+', true},
                            {ops::sub, '-', false},
                            {ops::mul, '*', false},
                            {ops::mul_relu, '*', true}};
  for (const Case& f : functions) {
    for (const Params& p : kParams) {
      const std::int64_t zb = p.dtype == quint8 ? 200 : -5;
      const std::int64_t zo = p.dtype == quint8 ? 11 : 127;
      const double so = f.kind == '*' ? 0.4 * p.scale : 0.11;
      for_each_pair(
          [&](const Shape& s, std::uint32_t seed) {
            return random_int8(s, p.dtype, seed == 1 ? p.scale : 0.07, seed == 1 ? p.zero_point : zb, seed);
          },
          [&](const Tensor& a, const Tensor& b, const Shape& sizes) {
            const Tensor y = f.function(a, b, so, zo);
            ASSERT_EQ(y.sizes(), sizes);
            ASSERT_EQ(y.dtype(), p.dtype);
            expect_format(a, b, y);
            const auto qa = integers(a), qb = integers(b), got = integers(y);
            test::for_each_index(sizes, [&](std::size_t i, const Index& at) {
              const int pa = qa[test::offset(at, a.sizes())] - static_cast<int>(p.zero_point);
              const int pb = qb[test::offset(at, b.sizes())] - static_cast<int>(zb);
              const float ra = static_cast<float>(p.scale) * static_cast<float>(pa);
              const float rb = 0.07F * static_cast<float>(pb);
              const float v = f.kind == '*'
                                  ? static_cast<float>(pa * pb) * static_cast<float>(p.scale * 0.07 / so)
                              : f.kind == '+' ? (ra + rb) * (1.0F / static_cast<float>(so))
                                              : (ra - rb) * (1.0F / static_cast<float>(so));
              ASSERT_EQ(got[i], test::limited(v, zo, p.dtype, f.relu)) << f.kind;
            });
          });
    }
  }
}

TEST(Int8Elementwise, FunctionsAreTables) {
  for (const auto& [kind, plain] : descriptions()) {
    for (const Params& p : kParams) {
      for (const DType to : {quint8, qint8}) {
        SCOPED_TRACE(to_string(kind));
        // All integers, in an odd number of rows.
        Tensor x =
            Tensor::empty_quantized({1, 256, 3, 1}, p.dtype, QParams::per_tensor(p.scale, p.zero_point));
        auto* bytes = static_cast<std::uint8_t*>(x.raw_mutable_data());
        for (int i = 0; i < 768; ++i) bytes[i] = static_cast<std::uint8_t>(i % 256);
        const std::int64_t zo = to == quint8 ? 100 : -128;
        const Tensor y = ops::unary(x, {kind, 0.3F, -0.7F}, 0.021, zo, to);
        ASSERT_EQ(y.dtype(), to);
        const auto q = integers(x), got = integers(y);
        for (std::size_t i = 0; i < q.size(); ++i) {
          const float real =
              static_cast<float>(p.scale) * static_cast<float>(q[i] - static_cast<int>(p.zero_point));
          const double exact = plain(static_cast<double>(real), 0.3F, -0.7F);
          if (std::isnan(exact)) {
            ASSERT_EQ(got[i], zo);
            continue;
          }
          // The description may round otherwise in the last place of a double, which moves no integer here
          // but where the function is a difference of near numbers.
          const int expected = test::limited(static_cast<float>(exact) * (1.0F / 0.021F), zo, to, false);
          ASSERT_EQ(got[i], expected) << real;
        }
      }
    }
  }
  const Tensor x = random_int8({0, 3}, qint8, 0.1, 0, 1);
  EXPECT_EQ(ops::unary(x, {UnaryKind::silu}, 0.1, 0).sizes(), (Shape{0, 3}));
}

TEST(Int8Elementwise, ThreadsChangeNothing) {
  const Tensor x = random_int8({2, 67, 61, 59}, quint8, 0.1, 100, 1);
  const Tensor last = x.contiguous(MemoryFormat::channels_last);
  const Tensor gate = random_int8({2, 67, 1, 1}, quint8, 0.004, 0, 2);
  const Tensor ones = Tensor::from_data(std::vector<float>(67, 1.1F), {67});
  const auto all = [&] {
    std::vector<Tensor> results;
    for (const Tensor& t : {x, last}) {
      const Pooling p{.kernel_size = 3, .stride = IntList(2), .padding = 1};
      const Tensor f = t.dequantize();
      for (const Tensor& r :
           {ops::add(t, gate, 0.3, 5), ops::sub(gate, t, 0.3, 5), ops::mul(t, gate, 0.01, 5),
            ops::mul(t, t, 1.3, 5), ops::batch_norm(t, ones, ones, ones, ones, 1e-5, 0.1, 7),
            ops::max_pool(t, p), ops::avg_pool(t, p), ops::global_avg_pool(t),
            ops::unary(t, {UnaryKind::silu}, 0.1, 3), functional::mul(f, gate.dequantize()),
            functional::unary(f, {UnaryKind::gelu}), functional::layer_norm(f, 1, ones, ones),
            functional::layer_norm(f, -1), functional::instance_norm(f, ones, ones),
            functional::batch_norm(f, ones, ones), functional::mean(f, std::vector<std::int64_t>{1, 3})})
        results.push_back(r);
    }
    return results;
  };
  const int before = get_num_threads();
  set_num_threads(1);
  const auto one = all();
  set_num_threads(3);
  const auto three = all();
  set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], three[i])) << i;
  // Nor does the memory format, but for sums whose order it is.
  for (std::size_t i = 0; i < one.size() / 2; ++i) {
    EXPECT_TRUE(equal(one[i].contiguous(), one[i + one.size() / 2].contiguous())) << i;
  }
}

}  // namespace
}  // namespace qconv
