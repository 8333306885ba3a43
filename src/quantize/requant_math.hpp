#pragma once

/// The normative arithmetic, one function per rule. Every engine and every instruction set returns these
/// bytes; the prose is docs/numerics.md. All floating point is IEEE binary32 with rounding to nearest even,
/// each operation rounded on its own (the build turns contraction off).

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace qconv::math {

/// The value of `v` in [lo, hi]; NaN becomes `lo`, as `maxps(v, lo)` gives.
inline float clamp_float(float v, float lo, float hi) noexcept {
  const float raised = v > lo ? v : lo;
  return raised < hi ? raised : hi;
}

/// rint(v) for |v| <= 2^22, without a library call so that loops around it vectorize: adding 1.5 * 2^23
/// leaves no fraction bits, and the addition rounds half to even.
inline std::int32_t round_small(float v) noexcept {
  constexpr float kShift = 12582912.0F;
  return static_cast<std::int32_t>((v + kShift) - kShift);
}

/// rint(v) + zero_point, limited to [lo, hi], for limits that differ from the zero point by less than 2^24.
/// Limiting before rounding gives the same integer (rounding is monotone and keeps integers) and cannot
/// overflow.
inline std::int32_t round_and_clamp(float v, std::int32_t zero_point, std::int32_t lo,
                                    std::int32_t hi) noexcept {
  const float limited =
      clamp_float(v, static_cast<float>(lo - zero_point), static_cast<float>(hi - zero_point));
  return static_cast<std::int32_t>(std::nearbyint(limited)) + zero_point;
}

/// Quantization of one number to 8 bits: x * inverse_scale, where inverse_scale = 1.0f / float(scale).
inline std::int32_t quantize_one(float x, float inverse_scale, std::int32_t zero_point, std::int32_t lo,
                                 std::int32_t hi) noexcept {
  return round_and_clamp(x * inverse_scale, zero_point, lo, hi);
}

/// The same to qint32, whose limits no float holds: the sum is taken in 64 bits.
inline std::int32_t quantize_one_int32(float x, float inverse_scale, std::int32_t zero_point) noexcept {
  constexpr float kFar = 8589934592.0F;  // 2^33: past every limit, and exact
  const auto rounded = static_cast<std::int64_t>(std::nearbyint(clamp_float(x * inverse_scale, -kFar, kFar)));
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(rounded + zero_point, INT32_MIN, INT32_MAX));
}

/// scale * (q - zero_point), the difference exact.
inline float dequantize_one(std::int32_t q, float scale, std::int32_t zero_point) noexcept {
  return scale * static_cast<float>(static_cast<std::int64_t>(q) - zero_point);
}

/// The same with the parameters of one channel, whose scale PyTorch keeps in double precision until the
/// product. The difference is one of floats there, so it is rounded beyond 2^24.
inline float dequantize_one_per_channel(std::int32_t q, double scale, std::int64_t zero_point) noexcept {
  const float steps = static_cast<float>(q) - static_cast<float>(zero_point);
  return static_cast<float>(scale * static_cast<double>(steps));
}

/// The real value of an accumulator in units of the output scale: fma(bias, bias_scale, float(acc)) *
/// multiplier. The fused step is FBGEMM's, whose compiler contracts it: with per-tensor weights the bias is
/// in real units and bias_scale is the reciprocal of the accumulator's scale; with per-channel weights the
/// bias is already scaled, and bias_scale is 1.
inline float scale_accumulator(std::int32_t accumulator, float bias, float bias_scale,
                               float multiplier) noexcept {
  return std::fma(bias, bias_scale, static_cast<float>(accumulator)) * multiplier;
}

}  // namespace qconv::math
