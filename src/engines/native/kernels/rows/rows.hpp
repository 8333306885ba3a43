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

/// Of `rows` rows of `count` elements, `stride` elements apart: for each column the largest element in y, or
/// the sum added to sums.
struct Reduce {
  const void* x;
  void* y;
  std::int32_t* sums;
  std::int64_t count, rows, stride;
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
using Reduces = void (*)(const Reduce&) noexcept;
using Quantizes = void (*)(const Quantize&) noexcept;
using Interleaves = void (*)(const Interleave&) noexcept;

/// For one instruction set and one type of elements, unsigned or signed.
struct Kernels {
  Tables lookup;
  Combines add;
  Combines mul;
  Scales scale;
  Reduces max;  ///< y holds lower bounds before, the maxima after
  Reduces sum;
  Quantizes quantize;
  Interleaves interleave;
};

/// The kernels of the instruction set that is active.
const Kernels& kernels(bool is_signed);

}  // namespace qconv::engines::rows
