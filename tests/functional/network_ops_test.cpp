// The int8 operators against their formulas, written here as plain loops over (N, C, D, H, W) integers.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "functional/support.hpp"

namespace qconv {
namespace {

using test::integers;
using test::random_int8;

int lowest(DType dtype) { return dtype == quint8 ? 0 : -128; }
int highest(DType dtype) { return dtype == quint8 ? 255 : 127; }

// rint(v) + zero_point limited to the dtype.
int rounded(float v, std::int64_t zero_point, DType dtype, int floor = -1000) {
  const double r = std::nearbyint(static_cast<double>(v)) + static_cast<double>(zero_point);
  return static_cast<int>(
      std::min<double>(std::max<double>(r, std::max(floor, lowest(dtype))), highest(dtype)));
}

struct Case {
  DType dtype;
  double scale;
  std::int64_t zero_point;
};
const Case kCases[] = {{quint8, 0.05, 0}, {quint8, 0.31, 128}, {qint8, 0.013, -7}, {qint8, 1.0, 127}};

TEST(NetworkOps, AddIsItsFormulaForAnyLengthAndDtype) {
  for (const Case& c : kCases) {
    for (std::int64_t channels = 1; channels <= 70; channels += 3) {
      const Tensor a = random_int8({2, channels, 3}, c.dtype, c.scale, c.zero_point, 1);
      const Tensor b = random_int8({2, channels, 3}, c.dtype, 0.07, 5, 2);
      const float sa = static_cast<float>(c.scale);
      const float sb = 0.07F;
      for (const bool relu : {false, true}) {
        const Tensor y = relu ? ops::add_relu(a, b, 0.11, 9) : ops::add(a, b, 0.11, 9);
        const auto ya = integers(a), yb = integers(b), got = integers(y);
        for (std::size_t i = 0; i < got.size(); ++i) {
          const float ra = sa * static_cast<float>(ya[i] - static_cast<int>(c.zero_point));
          const float rb = sb * static_cast<float>(yb[i] - 5);
          const float v = (ra + rb) * (1.0F / 0.11F);
          ASSERT_EQ(got[i], rounded(v, 9, c.dtype, relu ? 9 : -1000));
        }
      }
    }
  }
}

TEST(NetworkOps, AddBroadcasts) {
  const Tensor a = random_int8({2, 3, 4, 5}, quint8, 0.1, 10, 1);
  const Tensor b = random_int8({3, 1, 1}, quint8, 0.2, 20, 2);
  const Tensor y = ops::add(a, b, 0.2, 30);
  for (std::int64_t c = 0; c < 3; ++c) {
    Tensor whole = Tensor::empty_quantized({2, 1, 4, 5}, quint8, b.qparams());
    std::fill_n(whole.mutable_data<std::uint8_t>(), 40, b.data<std::uint8_t>()[c]);
    EXPECT_TRUE(equal(y.narrow(1, c, 1), ops::add(a.narrow(1, c, 1), whole, 0.2, 30)));
  }
  EXPECT_THROW(ops::add(a, random_int8({4, 1, 1}, quint8, 0.2, 20, 2), 1, 0), ValueError);
  EXPECT_THROW(ops::add(a, random_int8({3, 1, 1}, qint8, 0.2, 20, 2), 1, 0), TypeError);
  EXPECT_THROW(ops::add(a, b, 0, 0), ValueError);
  EXPECT_THROW(ops::add(a, a.dequantize(), 1, 0), TypeError);
}

TEST(NetworkOps, ElementwiseMapsAreTheirFormulas) {
  for (const Case& c : kCases) {
    const Tensor x = random_int8({1, 300}, c.dtype, c.scale, c.zero_point, 3);
    const auto q = integers(x);
    const auto z = static_cast<int>(c.zero_point);
    const auto s = static_cast<float>(c.scale);
    const auto relu = integers(ops::relu(x));
    const auto clamped = integers(ops::clamp(x, -1.5, 0.7));
    const auto other = integers(ops::requantize(x, 0.3, 3, c.dtype == quint8 ? qint8 : quint8));
    for (std::size_t i = 0; i < q.size(); ++i) {
      EXPECT_EQ(relu[i], std::max(q[i], z));
      EXPECT_EQ(clamped[i], std::clamp(q[i], rounded(-1.5F * (1.0F / s), z, c.dtype),
                                       rounded(0.7F * (1.0F / s), z, c.dtype)));
      EXPECT_EQ(other[i], rounded((s * static_cast<float>(q[i] - z)) * (1.0F / 0.3F), 3,
                                  c.dtype == quint8 ? qint8 : quint8));
    }
  }
  EXPECT_THROW(ops::clamp(random_int8({2}, quint8, 1, 0, 1), 2.0, 1.0), ValueError);
}

TEST(NetworkOps, CatRequantizesEveryPiece) {
  for (const int dim : {0, 1, 2, 3, -1}) {
    const Tensor a = random_int8({2, 3, 4, 5}, quint8, 0.1, 10, 1);
    const Tensor b = random_int8({2, 3, 4, 5}, quint8, 0.2, 99, 2);
    for (const bool relu : {false, true}) {
      const Tensor y =
          relu ? ops::cat_relu(std::vector{a, b}, dim, 0.15, 50) : ops::cat(std::vector{a, b}, dim, 0.15, 50);
      EXPECT_TRUE(y.is_contiguous(MemoryFormat::channels_last));
      const std::int64_t half = a.size(dim);
      const auto piece = [&](const Tensor& t) {
        const Tensor r = ops::requantize(t, 0.15, 50);
        return relu ? ops::relu(r) : r;
      };
      EXPECT_TRUE(equal(y.narrow(dim < 0 ? 3 : dim, 0, half), piece(a)));
      EXPECT_TRUE(equal(y.narrow(dim < 0 ? 3 : dim, half, half), piece(b)));
    }
  }
  const Tensor a = random_int8({1, 2, 3}, quint8, 0.1, 10, 1);
  EXPECT_TRUE(equal(ops::cat(std::vector{a, a}, 1).narrow(1, 2, 2), a));
  EXPECT_TRUE(equal(ops::cat_relu(std::vector{a}, 1), ops::relu(a)));
  EXPECT_THROW(ops::cat(std::vector{a, random_int8({1, 2, 4}, quint8, 1, 0, 1)}, 1), ValueError);
  EXPECT_THROW(ops::cat(std::vector<Tensor>{}, 0), ValueError);
  EXPECT_THROW(ops::cat(std::vector{a, random_int8({1, 2, 3}, qint8, 1, 0, 1)}, 1), TypeError);
}

// One pooled element by its definition: visits the taps of output (n, c, position) and says how many count.
struct PoolCase {
  std::int64_t in, kernel, stride, begin, end, dilation;
  bool ceil;

  std::int64_t out() const {
    const std::int64_t room = in + begin + end - dilation * (kernel - 1) - 1;
    std::int64_t o = (room + (ceil ? stride - 1 : 0)) / stride + 1;
    if (ceil && (o - 1) * stride >= in + begin) --o;
    return o;
  }
};

TEST(NetworkOps, PoolsAreTheirFormulas) {
  const PoolCase shapes[] = {{7, 3, 2, 1, 1, 1, false}, {7, 3, 2, 1, 1, 1, true},  {8, 3, 3, 0, 0, 1, true},
                             {8, 2, 3, 1, 0, 1, true},  {6, 2, 1, 2, 1, 3, false}, {1, 1, 1, 0, 0, 1, false},
                             {5, 5, 5, 0, 0, 1, false}, {9, 4, 1, 3, 2, 1, false}};
  for (const PoolCase& p : shapes) {
    for (const Case& c : kCases) {
      for (const std::int64_t channels : {1, 3, 64, 70, 257, 300}) {
        const Tensor x = random_int8({2, channels, p.in}, c.dtype, c.scale, c.zero_point, 4);
        const auto q = integers(x);
        Pooling pooling{.kernel_size = static_cast<int>(p.kernel)};
        pooling.stride = IntList(p.stride);
        pooling.padding = Padding{p.begin, p.end};
        pooling.dilation = p.dilation;
        pooling.ceil_mode = p.ceil;
        for (const bool count : {false, true}) {
          pooling.count_include_pad = count;
          const auto most = integers(ops::max_pool(x, pooling));
          const Tensor mean = ops::avg_pool(x, pooling, 0.09, 4);
          const auto average = integers(mean);
          ASSERT_EQ(mean.sizes(), (Shape{2, channels, p.out()}));
          for (std::size_t i = 0; i < average.size(); ++i) {
            const auto plane = static_cast<std::int64_t>(i) / p.out();
            const std::int64_t start = static_cast<std::int64_t>(i) % p.out() * p.stride - p.begin;
            int best = lowest(c.dtype);
            int sum = 0;
            int taps = 0;
            int counted = 0;
            for (std::int64_t k = 0; k < p.kernel; ++k) {
              const std::int64_t at = start + k * p.dilation;
              if (at < p.in + p.end) ++counted;
              if (at < 0 || at >= p.in) continue;
              const int v = q[static_cast<std::size_t>(plane * p.in + at)];
              best = std::max(best, v);
              sum += v - static_cast<int>(c.zero_point);
              ++taps;
            }
            const int divisor = count ? counted : taps;
            const auto m = divisor == 0 ? 0.0F : static_cast<float>(c.scale / 0.09 / divisor);
            ASSERT_EQ(most[i], best);
            ASSERT_EQ(average[i], rounded(static_cast<float>(sum) * m, 4, c.dtype));
          }
        }
      }
    }
  }
}

TEST(NetworkOps, PoolsOfMoreDimensionsArePoolsOfOneAfterTheOther) {
  // Maxima are separable, so 3-D follows from 1-D.
  const Tensor x = random_int8({2, 5, 4, 6, 7}, qint8, 0.1, 3, 5);
  const Pooling cube{.kernel_size = {2, 3, 3}, .stride = IntList{1, 2, 3}, .padding = {1, 1, 0}};
  Tensor step = ops::max_pool(x, {.kernel_size = {2, 1, 1}, .stride = IntList(1), .padding = {1, 0, 0}});
  step = ops::max_pool(step, {.kernel_size = {1, 3, 1}, .stride = IntList{1, 2, 1}, .padding = {0, 1, 0}});
  step = ops::max_pool(step, {.kernel_size = {1, 1, 3}, .stride = IntList{1, 1, 3}});
  EXPECT_TRUE(equal(ops::max_pool(x, cube), step));
  // A mean over everything is one sum, whatever the order.
  std::vector<int> sums(10);
  const auto q = integers(x);
  for (std::size_t i = 0; i < q.size(); ++i) sums[i / 168] += q[i] - 3;
  const auto mean = integers(ops::global_avg_pool(x, 0.02, 1));
  for (std::size_t i = 0; i < sums.size(); ++i)
    EXPECT_EQ(mean[i], rounded(static_cast<float>(sums[i]) * static_cast<float>(0.1 / 0.02 / 168), 1, qint8));
}

TEST(NetworkOps, PoolsCheckTheirArguments) {
  const Tensor x = random_int8({1, 2, 5, 5}, quint8, 1, 0, 1);
  EXPECT_THROW(ops::max_pool(x, {.kernel_size = 6}), ValueError);
  EXPECT_THROW(ops::max_pool(x, {.kernel_size = 2, .padding = 2}), ValueError);
  EXPECT_THROW(ops::max_pool(x, {.kernel_size = 2, .stride = IntList(0)}), ValueError);
  EXPECT_THROW(ops::max_pool(x, {.kernel_size = {2, 2, 2}}), ValueError);
  EXPECT_THROW(ops::avg_pool(x.dequantize(), {.kernel_size = 2}), TypeError);
  EXPECT_THROW(functional::max_pool3d(x, 2), ValueError);
  EXPECT_EQ(ops::avg_pool(random_int8({0, 2, 5, 5}, quint8, 1, 0, 1), {.kernel_size = 2}).sizes(),
            (Shape{0, 2, 2, 2}));
}

TEST(NetworkOps, PadWritesTheQuantizedValue) {
  const Tensor x = random_int8({1, 2, 3}, quint8, 0.1, 40, 1);
  const std::vector<std::int64_t> pad{1, 2};
  const Tensor y = ops::pad(x, pad, PaddingMode::zeros, 1.26);
  EXPECT_EQ(integers(y.select(2, 0)), (std::vector<int>{53, 53}));
  EXPECT_TRUE(equal(y.narrow(2, 1, 3), x));
  EXPECT_EQ(integers(ops::pad(x, pad).select(2, 5)), (std::vector<int>{40, 40}));
  EXPECT_THROW(ops::pad(x, std::vector<std::int64_t>{3, 0}, PaddingMode::reflect), ValueError);
  EXPECT_THROW(ops::pad(x, std::vector<std::int64_t>{-2, -2}), ValueError);
  EXPECT_THROW(ops::pad(x, std::vector<std::int64_t>{1}), ValueError);
}

TEST(NetworkOps, PadReachesEveryDimensionInEveryMode) {
  const Tensor x = random_int8({2, 3, 4, 5}, qint8, 0.1, -3, 1);
  const std::vector<std::int64_t> pad{1, 2, 2, 1, 1, 0, 0, 1};
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    // Dimension by dimension must be the same as all at once.
    Tensor step = x;
    for (std::size_t d = 0; d < 4; ++d) {
      std::vector<std::int64_t> one(8, 0);
      one[2 * d] = pad[2 * d];
      one[2 * d + 1] = pad[2 * d + 1];
      step = ops::pad(step, one, mode);
    }
    EXPECT_TRUE(equal(ops::pad(x, pad, mode), step)) << to_string(mode);
  }
}

TEST(NetworkOps, InterpolateIsItsFormula) {
  const Tensor x = random_int8({2, 3, 5}, quint8, 0.1, 100, 7);
  const auto q = integers(x);
  Resize r = Resize::pytorch("linear");
  r.size = 8;
  const auto y = integers(ops::interpolate(x, r, 0.13, 7));
  const float m = static_cast<float>(0.1 / 0.13);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double at = std::clamp((static_cast<double>(i % 8) + 0.5) * 5 / 8 - 0.5, 0.0, 4.0);
    const auto left = static_cast<std::size_t>(at);
    const auto right = std::min<std::size_t>(left + 1, 4);
    const double t = at - static_cast<double>(left);
    const std::size_t row = i / 8 * 5;
    const float a = static_cast<float>(1 - t) * static_cast<float>(q[row + left] - 100);
    const float b = static_cast<float>(t) * static_cast<float>(q[row + right] - 100);
    ASSERT_EQ(y[i], rounded((a + b) * m, 7, quint8));
  }
  const Tensor nearest = ops::interpolate(x, {.scale_factor = {2.0}});
  EXPECT_EQ(nearest.qparams(), x.qparams());
  for (std::int64_t o = 0; o < 10; ++o) EXPECT_TRUE(equal(nearest.select(2, o), x.select(2, o / 2)));
  EXPECT_THROW(ops::interpolate(x, {}), ValueError);
  EXPECT_THROW(ops::interpolate(x, {.scale_factor = {-1.0}}), ValueError);
  EXPECT_THROW(ops::interpolate(x, {.size = IntList{2, 2}}), ValueError);
}

TEST(NetworkOps, LinearIsAConvolutionOfOneTap) {
  const Tensor w =
      quantize_per_channel(test::random_float({5, 7}, 1), std::vector<double>{0.01, 0.02, 0.03, 0.01, 0.02},
                           std::vector<std::int64_t>(5, 0), 0, qint8);
  const Tensor bias = test::random_float({5}, 2);
  const auto packed = ops::linear_prepack(w, bias);
  const Tensor x = random_int8({2, 3, 7}, quint8, 0.05, 30, 3);
  const Tensor y = ops::linear(x, packed, 0.04, 120);
  ASSERT_EQ(y.sizes(), (Shape{2, 3, 5}));
  const auto q = integers(x);
  const auto qw = integers(w);
  const auto got = integers(y);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t o = i % 5;
    int sum = 0;
    for (std::size_t k = 0; k < 7; ++k) sum += (q[i / 5 * 7 + k] - 30) * qw[o * 7 + k];
    const double real = sum * 0.05 * w.qparams().scales[o] + static_cast<double>(bias.data<float>()[o]);
    EXPECT_NEAR(got[i], std::clamp(real / 0.04 + 120, 0.0, 255.0), 0.501);
  }
  EXPECT_TRUE(equal(ops::linear_relu(x, packed, 0.04, 120), ops::relu(y)));
  EXPECT_TRUE(equal(ops::linear_unpack(packed).first, w));
  EXPECT_EQ(ops::linear(random_int8({0, 7}, quint8, 1, 0, 1), packed, 1, 0).sizes(), (Shape{0, 5}));
  EXPECT_THROW(ops::linear(random_int8({2, 6}, quint8, 1, 0, 1), packed, 1, 0), ValueError);
}

TEST(NetworkOps, ThreadsChangeNothing) {
  const Tensor x = random_int8({2, 70, 33, 31}, quint8, 0.1, 100, 1);
  const Tensor f = x.dequantize();
  const auto all = [&] {
    Resize r = Resize::pytorch("bicubic");
    r.scale_factor = {1.3};
    const Pooling p{.kernel_size = 3, .stride = IntList(2), .padding = 1};
    return std::vector<Tensor>{
        ops::add(x, x, 0.3, 5),     ops::avg_pool(x, p),
        ops::interpolate(x, r),     ops::pad(x, std::vector<std::int64_t>{1, 2, 3, 4}, PaddingMode::reflect),
        functional::avg_pool(f, p), functional::interpolate(f, r),
        functional::softmax(f, 1),  functional::global_avg_pool(f)};
  };
  const int before = get_num_threads();
  set_num_threads(1);
  const auto one = all();
  set_num_threads(3);
  const auto three = all();
  set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], three[i])) << i;
}

TEST(Functional, ElementwiseKeepsNan) {
  const Tensor x = Tensor::from_data(std::vector<float>{-2, std::nanf(""), 3}, {3});
  const auto relu = functional::relu(x).to_vector<float>();
  EXPECT_EQ(relu[0], 0);
  EXPECT_TRUE(std::isnan(relu[1]));
  EXPECT_EQ(functional::hardtanh(x).to_vector<float>()[2], 1);
  EXPECT_TRUE(std::isnan(functional::max_pool1d(x.view({1, 1, 3}), 3).to_vector<float>()[0]));
}

TEST(Functional, AddAndCatKeepValues) {
  const Tensor a = test::random_float({2, 3, 4}, 1);
  const Tensor b = test::random_float({3, 1}, 2);
  const Tensor y = functional::add(a, b);
  for (std::int64_t i = 0; i < y.numel(); ++i)
    EXPECT_EQ(y.data<float>()[i], a.data<float>()[i] + b.data<float>()[i / 4 % 3]);
  const Tensor joined = functional::cat(std::vector{a, a}, 2);
  EXPECT_TRUE(equal(joined.narrow(2, 4, 4), a));
  EXPECT_THROW(functional::cat(std::vector{a, b}, 0), ValueError);
  EXPECT_THROW(functional::add(a, random_int8({3, 1}, quint8, 1, 0, 1)), TypeError);
}

}  // namespace
}  // namespace qconv
