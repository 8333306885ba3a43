#pragma once

// The loops, once, for the compiler to vectorize with the flags of each instruction set: all have internal
// linkage.

#include <cstdint>
#include <cstring>

#include "engines/native/kernels/rows/rows.hpp"

namespace qconv::engines::rows {
namespace {

[[maybe_unused]] void lookup_bytes(const Lookup& args) noexcept {
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] = args.map[args.x[i]];
}

// Limits before rounding; see math::round_and_clamp and math::round_small.
inline std::int32_t to_integer(float v, float lo, float hi) noexcept {
  constexpr float kShift = 12582912.0F;
  const float raised = v > lo ? v : lo;
  const float limited = raised < hi ? raised : hi;
  return static_cast<std::int32_t>((limited + kShift) - kShift);
}

// y[i] = f(a[i * a_step], b[i * b_step]), the steps known to the compiler.
// The arguments are copies everywhere below: bytes that are written might be those of a reference.
template <class T, class F>
inline void combine(const Combine args, const F f) noexcept {
  const T* __restrict a = static_cast<const T*>(args.a);
  const T* __restrict b = static_cast<const T*>(args.b);
  T* __restrict y = static_cast<T*>(args.y);
  if (args.a_step != 0 && args.b_step != 0) {
    for (std::int64_t i = 0; i < args.count; ++i) y[i] = f(a[i], b[i]);
  } else if (args.a_step != 0) {
    const T once = b[0];
    for (std::int64_t i = 0; i < args.count; ++i) y[i] = f(a[i], once);
  } else if (args.b_step != 0) {
    const T once = a[0];
    for (std::int64_t i = 0; i < args.count; ++i) y[i] = f(once, b[i]);
  } else {
    const T once = f(a[0], b[0]);
    for (std::int64_t i = 0; i < args.count; ++i) y[i] = once;
  }
}

template <class T>
void add(const Combine& args) noexcept {
  const Combine c = args;
  combine<T>(args, [c](T a, T b) {
    const float sum =
        c.a_scale * static_cast<float>(a - c.a_zero) + c.b_scale * static_cast<float>(b - c.b_zero);
    return static_cast<T>(to_integer(sum * c.inverse, c.lo, c.hi) + c.y_zero);
  });
}

template <class T>
void mul(const Combine& args) noexcept {
  const Combine c = args;
  combine<T>(args, [c](T a, T b) {
    const float product = static_cast<float>((a - c.a_zero) * (b - c.b_zero));
    return static_cast<T>(to_integer(product * c.inverse, c.lo, c.hi) + c.y_zero);
  });
}

template <class T>
void scale(const Scale& args) noexcept {
  const Scale s = args;
  const T* __restrict x = static_cast<const T*>(s.x);
  T* __restrict y = static_cast<T*>(s.y);
  for (std::int64_t i = 0; i < s.count; ++i) {
    const float real = static_cast<float>(x[i] - s.x_zero) * s.factor[i] + s.offset[i];
    y[i] = static_cast<T>(to_integer(real, s.lo, s.hi) + s.y_zero);
  }
}

// A vector of elements, as long as the instruction set's or not: the maxima of a window stay in registers.
template <class V, class T>
inline void max_of_window(const Max& args, const T* x, T* y) noexcept {
  V best;
  std::memcpy(&best, y, sizeof(V));
  for (std::int64_t row = 0; row < args.rows; ++row) {
    for (std::int64_t tap = 0; tap < args.taps; ++tap) {
      V from;
      std::memcpy(&from, x + row * args.row_step + tap * args.tap_step, sizeof(V));
      best = from > best ? from : best;
    }
  }
  std::memcpy(y, &best, sizeof(V));
}

template <class T>
void max(const Max& given) noexcept {
  typedef T Wide __attribute__((vector_size(64)));
  typedef T Narrow __attribute__((vector_size(16)));
  const Max args = given;
  for (std::int64_t w = 0; w < args.windows; ++w) {
    const T* x = static_cast<const T*>(args.x) + w * args.x_step;
    T* y = static_cast<T*>(args.y) + w * args.y_step;
    std::int64_t c = 0;
    for (; c + 64 <= args.count; c += 64) max_of_window<Wide>(args, x + c, y + c);
    for (; c + 16 <= args.count; c += 16) max_of_window<Narrow>(args, x + c, y + c);
    for (; c < args.count; ++c) max_of_window<T>(args, x + c, y + c);
  }
}

template <class T>
void sum(const Sum& given) noexcept {
  const Sum args = given;
  std::int32_t* __restrict sums = args.sums;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const T* __restrict x = static_cast<const T*>(args.x) + row * args.stride;
    for (std::int64_t i = 0; i < args.count; ++i) sums[i] += x[i];
  }
}

template <class T>
void dequantize(const Dequantize& given) noexcept {
  const Dequantize args = given;
  const T* __restrict x = static_cast<const T*>(args.x);
  float* __restrict y = args.y;
  for (std::int64_t i = 0; i < args.count; ++i) y[i] = static_cast<float>(x[i] - args.zero) * args.scale;
}

template <class T>
void quantize(const Quantize& args) noexcept {
  const Quantize q = args;
  T* __restrict y = static_cast<T*>(q.y);
  for (std::int64_t i = 0; i < q.count; ++i)
    y[i] = static_cast<T>(to_integer(q.x[i] * q.inverse, q.lo, q.hi) + q.zero);
}

// The number of channels known to the compiler: stores of a few interleaved rows are shuffles then.
template <int kChannels>
void interleave_few(const Interleave args) noexcept {
  const std::uint8_t* __restrict x = args.x;
  std::uint8_t* __restrict y = args.y;
  for (std::int64_t i = 0; i < args.count; ++i) {
    for (int c = 0; c < kChannels; ++c) y[i * kChannels + c] = x[c * args.stride + i];
  }
}

[[maybe_unused]] void interleave(const Interleave& args) noexcept {
  switch (args.channels) {
    case 2:
      return interleave_few<2>(args);
    case 3:
      return interleave_few<3>(args);
    case 4:
      return interleave_few<4>(args);
    default:
      break;
  }
  const Interleave a = args;
  for (std::int64_t c = 0; c < a.channels; ++c) {
    for (std::int64_t i = 0; i < a.count; ++i) a.y[i * a.channels + c] = a.x[c * a.stride + i];
  }
}

}  // namespace
}  // namespace qconv::engines::rows

// `lookup` is a function of the file, or lookup_bytes.
#define QCONV_DEFINE_ROWS(isa, lookup)                                                           \
  namespace qconv::engines::rows {                                                               \
  namespace {                                                                                    \
  template <class T>                                                                             \
  inline constexpr Kernels of_type{&(lookup), &add<T>,      &mul<T>,        &scale<T>,  &max<T>, \
                                   &sum<T>,   &quantize<T>, &dequantize<T>, &interleave};        \
  }                                                                                              \
  extern const Kernels unsigned_rows_##isa;                                                      \
  extern const Kernels signed_rows_##isa;                                                        \
  constinit const Kernels unsigned_rows_##isa = of_type<std::uint8_t>;                           \
  constinit const Kernels signed_rows_##isa = of_type<std::int8_t>;                              \
  }
