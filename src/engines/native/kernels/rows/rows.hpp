#pragma once

#include <cstdint>

/// Loops over rows of 8-bit integers: what the operators between convolutions do with each element. A kernel
/// reads and writes `count` elements, exactly.
namespace qconv::engines::rows {

/// y[i] = map[x[i]], the map by the byte that holds the integer.
struct Lookup {
  const std::uint8_t* map;  ///< 256 entries
  const std::uint8_t* x;
  std::uint8_t* y;
  std::int64_t count;
};

/// y[i] = clamp(rint(r * inverse) + y_zero) over two rows, along which an operand moves (step 1) or stands
/// still (step 0): for a sum r = a_scale * (a - a_zero) + b_scale * (b - b_zero), for a product float((a -
/// a_zero) * (b - b_zero)). lo and hi are limits relative to y_zero.
struct Combine {
  const void* a;
  const void* b;
  void* y;
  std::int64_t count;
  std::int64_t a_step, b_step;
  float a_scale, b_scale, inverse;
  std::int32_t a_zero, b_zero, y_zero;
  float lo, hi;
};

/// y[i] = clamp(rint((x - x_zero) * factor[i] + offset[i]) + y_zero).
struct Scale {
  const void* x;
  void* y;
  const float* factor;
  const float* offset;
  std::int64_t count;
  std::int32_t x_zero, y_zero;
  float lo, hi;
};

/// The sum of each column of `rows` rows of `count` elements, `stride` elements apart, is added to sums.
struct Sum {
  const void* x;
  std::int32_t* sums;
  std::int64_t count, rows, stride;
};

/// The largest elements of `windows` windows of `rows` by `taps` pixels of `count` channels, where y holds
/// lower bounds before. Steps are in elements: `x_step` and `y_step` from one window to the next.
struct Max {
  const void* x;
  void* y;
  std::int64_t count;
  std::int64_t windows, x_step, y_step;
  std::int64_t rows, row_step;
  std::int64_t taps, tap_step;
};

/// y[i] = (x[i] - zero) * scale.
struct Dequantize {
  const void* x;
  float* y;
  std::int64_t count;
  float scale;
  std::int32_t zero;
};

/// y[i] = clamp(rint(x[i] * inverse) + zero).
struct Quantize {
  const float* x;
  void* y;
  std::int64_t count;
  float inverse;
  std::int32_t zero;
  float lo, hi;
};

/// y[i * channels + c] = x[c * stride + i] for `count` positions.
struct Interleave {
  const std::uint8_t* x;
  std::uint8_t* y;
  std::int64_t channels, stride, count;
};

using Tables = void (*)(const Lookup&) noexcept;
using Combines = void (*)(const Combine&) noexcept;
using Scales = void (*)(const Scale&) noexcept;
using Sums = void (*)(const Sum&) noexcept;
using Maxima = void (*)(const Max&) noexcept;
using Dequantizes = void (*)(const Dequantize&) noexcept;
using Quantizes = void (*)(const Quantize&) noexcept;
using Interleaves = void (*)(const Interleave&) noexcept;

/// For one instruction set and one type of elements, unsigned or signed.
struct Kernels {
  Tables lookup;
  Combines add;
  Combines mul;
  Scales scale;
  Maxima max;
  Sums sum;
  Quantizes quantize;
  Dequantizes dequantize;
  Interleaves interleave;
};

/// The kernels of the instruction set that is active.
const Kernels& kernels(bool is_signed);

}  // namespace qconv::engines::rows
