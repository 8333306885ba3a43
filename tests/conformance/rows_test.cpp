// Every kernel for rows of bytes against its formula, at any length, on memory that ends at a page without
// access.
#include "engines/native/kernels/rows/rows.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include <qconv/cpu.hpp>

#include "support/cpu.hpp"
#include "support/guarded_buffer.hpp"

namespace qconv::engines::rows {

#define QCONV_ROWS(variant, isa, usable)        \
  extern const Kernels unsigned_rows_##variant; \
  extern const Kernels signed_rows_##variant;
#include "engines/native/kernels/kernels.inc"

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Variant {
  const char* name;
  bool runs;
  const Kernels* unsigned_bytes;
  const Kernels* signed_bytes;
};

// Those that this processor runs.
std::vector<Variant> variants() {
  std::vector<Variant> all{
#define QCONV_ROWS(variant, isa, usable) \
  {#variant, supported(Isa::isa) && (usable), &unsigned_rows_##variant, &signed_rows_##variant},
#include "engines/native/kernels/kernels.inc"
  };
  std::erase_if(all, [](const Variant& v) { return !v.runs; });
  return all;
}

constexpr std::int64_t kLongest = 130;

Bytes random_bytes(std::int64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(static_cast<std::size_t>(count));
  for (auto& b : bytes) b = static_cast<std::uint8_t>(random() >> 9);
  return bytes;
}

template <class T>
int at(const Bytes& bytes, std::int64_t i) {
  return static_cast<T>(bytes[static_cast<std::size_t>(i)]);
}

// Limits of a kernel whose results have this zero point.
template <class T>
float low(int zero) {
  return static_cast<float>(std::numeric_limits<T>::lowest() - zero);
}
template <class T>
float high(int zero) {
  return static_cast<float>(std::numeric_limits<T>::max() - zero);
}

std::uint8_t rounded(float v, float lo, float hi, int zero) {
  const double r = std::nearbyint(static_cast<double>(v));
  return static_cast<std::uint8_t>(
      static_cast<int>(std::fmin(std::fmax(r, static_cast<double>(lo)), static_cast<double>(hi))) + zero);
}

qconv::testing::GuardedBuffer guarded(const std::vector<float>& v) {
  return qconv::testing::GuardedBuffer(
      std::span(reinterpret_cast<const std::uint8_t*>(v.data()), v.size() * sizeof(float)));
}

class RowKernels : public ::testing::TestWithParam<Variant> {
 protected:
  // Calls check(T{}, kernels) for both types of elements.
  template <class Check>
  static void for_both(const Check& check) {
    check(std::uint8_t{}, *GetParam().unsigned_bytes);
    check(std::int8_t{}, *GetParam().signed_bytes);
  }
};

TEST_P(RowKernels, LookUp) {
  for_both([](auto, const Kernels& kernels) {
    for (std::int64_t count = 0; count <= kLongest; ++count) {
      const Bytes map = random_bytes(256, 1);
      const Bytes x = random_bytes(count, static_cast<std::uint32_t>(count));
      qconv::testing::GuardedBuffer gm(map), gx(x), gy(x.size());
      kernels.lookup({gm.data(), gx.data(), gy.data(), count});
      const Bytes y = gy.copy();
      for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], map[x[i]]) << count;
    }
    // Every index, and in place.
    const Bytes map = random_bytes(256, 2);
    Bytes all(256);
    for (std::size_t i = 0; i < 256; ++i) all[i] = static_cast<std::uint8_t>(i);
    kernels.lookup({map.data(), all.data(), all.data(), 256});
    EXPECT_EQ(all, map);
  });
}

struct Scales {
  float a, b, inverse;
};
constexpr Scales kScales[] = {
    {0.05F, 0.31F, 1 / 0.11F}, {1, 1, 0.5F}, {1e-30F, 3e-31F, 1e20F}, {1e30F, 2e29F, 1e9F}};

// Sums and products in every combination of moving and standing operands.
template <class T>
void check_combine(Combines kernel, bool product) {
  const int ends[] = {std::numeric_limits<T>::lowest(), 3, std::numeric_limits<T>::max()};
  std::uint32_t seed = 0;
  for (std::int64_t count = 1; count <= kLongest; ++count) {
    for (const auto& [a_step, b_step] : {std::pair{1, 1}, {1, 0}, {0, 1}, {0, 0}}) {
      const Scales s = kScales[seed % 4];
      const Bytes a = random_bytes(a_step ? count : 1, ++seed);
      const Bytes b = random_bytes(b_step ? count : 1, ++seed);
      Combine args{};
      qconv::testing::GuardedBuffer ga(a), gb(b), gy(static_cast<std::size_t>(count));
      args.a = ga.data();
      args.b = gb.data();
      args.y = gy.data();
      args.count = count;
      args.a_step = a_step;
      args.b_step = b_step;
      args.a_scale = s.a;
      args.b_scale = s.b;
      args.inverse = product ? s.a : s.inverse;
      args.a_zero = ends[seed % 3];
      args.b_zero = ends[seed / 3 % 3];
      args.y_zero = ends[seed / 9 % 3];
      args.lo = seed % 2 == 0 ? 0 : low<T>(args.y_zero);
      args.hi = high<T>(args.y_zero);
      kernel(args);
      const Bytes y = gy.copy();
      for (std::int64_t i = 0; i < count; ++i) {
        const int p = at<T>(a, i * a_step) - args.a_zero;
        const int q = at<T>(b, i * b_step) - args.b_zero;
        const float sum = s.a * static_cast<float>(p) + s.b * static_cast<float>(q);
        const float v = product ? static_cast<float>(p * q) * s.a : sum * s.inverse;
        ASSERT_EQ(y[static_cast<std::size_t>(i)], rounded(v, args.lo, args.hi, args.y_zero))
            << count << " steps " << a_step << b_step << " at " << i;
      }
    }
  }
}

TEST_P(RowKernels, Add) {
  for_both([](auto type, const Kernels& kernels) { check_combine<decltype(type)>(kernels.add, false); });
}
TEST_P(RowKernels, Multiply) {
  for_both([](auto type, const Kernels& kernels) { check_combine<decltype(type)>(kernels.mul, true); });
}

TEST_P(RowKernels, Scale) {
  for_both([](auto type, const Kernels& kernels) {
    using T = decltype(type);
    for (std::int64_t count = 1; count <= kLongest; ++count) {
      const Bytes x = random_bytes(count, static_cast<std::uint32_t>(count));
      std::vector<float> factor, offset;
      for (std::int64_t i = 0; i < count; ++i) {
        factor.push_back(i % 17 == 3 ? 1e30F : 0.013F * static_cast<float>(i - 40));
        offset.push_back(i % 13 == 5 ? -INFINITY : 7.5F - static_cast<float>(i));
      }
      qconv::testing::GuardedBuffer gx(x), gy(x.size()), gf = guarded(factor), go = guarded(offset);
      rows::Scale args{};
      args.x = gx.data();
      args.y = gy.data();
      args.factor = reinterpret_cast<const float*>(gf.data());
      args.offset = reinterpret_cast<const float*>(go.data());
      args.count = count;
      args.x_zero = count % 2 == 0 ? std::numeric_limits<T>::max() : 5;
      args.y_zero = count % 3 == 0 ? std::numeric_limits<T>::lowest() : 9;
      args.lo = low<T>(args.y_zero);
      args.hi = high<T>(args.y_zero);
      kernels.scale(args);
      const Bytes y = gy.copy();
      for (std::size_t i = 0; i < y.size(); ++i) {
        const float scaled = static_cast<float>(static_cast<T>(x[i]) - args.x_zero) * factor[i];
        ASSERT_EQ(y[i], rounded(scaled + offset[i], args.lo, args.hi, args.y_zero)) << count << " at " << i;
      }
    }
  });
}

TEST_P(RowKernels, Sum) {
  for_both([](auto type, const Kernels& kernels) {
    using T = decltype(type);
    for (std::int64_t count = 1; count <= kLongest; ++count) {
      for (const std::int64_t rows : {1, 2, 5}) {
        for (const std::int64_t stride : {count, count + 3}) {
          const Bytes x = random_bytes((rows - 1) * stride + count, static_cast<std::uint32_t>(count + rows));
          std::vector<float> zeros(static_cast<std::size_t>(count), 0.0F);
          qconv::testing::GuardedBuffer gx(x), gs = guarded(zeros);
          auto* sums = reinterpret_cast<std::int32_t*>(gs.data());
          for (std::int64_t i = 0; i < count; ++i) sums[i] = static_cast<std::int32_t>(1000 * i);
          kernels.sum({gx.data(), sums, count, rows, stride});
          for (std::int64_t i = 0; i < count; ++i) {
            std::int32_t sum = static_cast<std::int32_t>(1000 * i);
            for (std::int64_t r = 0; r < rows; ++r) sum += at<T>(x, r * stride + i);
            ASSERT_EQ(sums[i], sum) << count << " at " << i;
          }
        }
      }
    }
  });
}

TEST_P(RowKernels, MaximaOfWindows) {
  struct Sizes {
    std::int64_t windows, rows, taps, stride;
  };
  for_both([](auto type, const Kernels& kernels) {
    using T = decltype(type);
    for (std::int64_t count = 1; count <= kLongest; ++count) {
      for (const Sizes& s : {Sizes{1, 1, 1, 1}, {1, 2, 3, 1}, {3, 3, 2, 2}, {4, 2, 2, 1}}) {
        rows::Max args{};
        args.count = count;
        args.windows = s.windows;
        args.x_step = s.stride * count;
        args.y_step = count + 2;
        args.rows = s.rows;
        args.row_step = ((s.windows - 1) * s.stride + s.taps) * count + 5;
        args.taps = s.taps;
        args.tap_step = count;
        const Bytes x = random_bytes(s.rows * args.row_step - 5, static_cast<std::uint32_t>(count + s.taps));
        const Bytes before = random_bytes((s.windows - 1) * args.y_step + count, 77);
        qconv::testing::GuardedBuffer gx(x), gy(before);
        args.x = gx.data();
        args.y = gy.data();
        kernels.max(args);
        const Bytes y = gy.copy();
        Bytes expected = before;
        for (std::int64_t w = 0; w < s.windows; ++w) {
          for (std::int64_t c = 0; c < count; ++c) {
            int most = at<T>(before, w * args.y_step + c);
            for (std::int64_t r = 0; r < s.rows; ++r) {
              for (std::int64_t t = 0; t < s.taps; ++t)
                most = std::max<int>(most, at<T>(x, w * args.x_step + r * args.row_step + t * count + c));
            }
            expected[static_cast<std::size_t>(w * args.y_step + c)] = static_cast<std::uint8_t>(most);
          }
        }
        ASSERT_EQ(y, expected) << count << " channels, " << s.windows << " windows";
      }
    }
  });
}

TEST_P(RowKernels, Dequantize) {
  for_both([](auto type, const Kernels& kernels) {
    using T = decltype(type);
    for (std::int64_t count = 0; count <= kLongest; ++count) {
      const Bytes x = random_bytes(count, static_cast<std::uint32_t>(count));
      const std::vector<float> nothing(static_cast<std::size_t>(count), 0.0F);
      qconv::testing::GuardedBuffer gx(x), gy = guarded(nothing);
      const auto* y = reinterpret_cast<const float*>(gy.data());
      const int zero = count % 2 == 0 ? std::numeric_limits<T>::max() : -3;
      kernels.dequantize({gx.data(), reinterpret_cast<float*>(gy.data()), count, 0.037F, zero});
      for (std::int64_t i = 0; i < count; ++i)
        ASSERT_EQ(y[i], static_cast<float>(at<T>(x, i) - zero) * 0.037F) << count << " at " << i;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, RowKernels, ::testing::ValuesIn(variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(RowKernelVariants, TheScalarOnesAlwaysRun) {
  ASSERT_FALSE(variants().empty());
  EXPECT_STREQ(variants()[0].name, "scalar");
}

}  // namespace
}  // namespace qconv::engines::rows
