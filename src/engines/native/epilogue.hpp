#pragma once

#include <cstdint>

#include <qconv/conv_problem.hpp>

#include "engines/native/kernels/epilogue.hpp"
#include "quantize/requantization.hpp"

namespace qconv::engines {

/// Kernels read signed bytes as unsigned ones, 128 higher; so is the zero point that belongs to them.
inline std::int32_t raw_zero_point(DType dtype, std::int32_t zero_point) noexcept {
  return dtype == DType::qint8 ? zero_point + 128 : zero_point;
}
inline std::uint8_t raw_flip(DType dtype) noexcept { return dtype == DType::qint8 ? 0x80 : 0; }

inline ByteRange byte_range(const ConvProblem& problem, const Requantization& r) noexcept {
  const std::int32_t shift = problem.output_dtype == DType::qint8 ? 128 : 0;
  return {.zero_point = r.zero_point + shift,
          .lo = static_cast<std::uint8_t>(r.lo + shift),
          .hi = static_cast<std::uint8_t>(r.hi + shift),
          .flip = raw_flip(problem.output_dtype)};
}

/// The part of an epilogue that is the same for every output channel; the arrays are null.
inline Epilogue common_epilogue(const ConvProblem& problem, const Requantization& r) noexcept {
  return {.initial = nullptr,
          .bias = nullptr,
          .bias_scale = r.bias_scale,
          .multiplier = nullptr,
          .weight_zero_points = nullptr,
          .zero_point = r.zero_point,
          .lo = static_cast<float>(r.lo - r.zero_point),
          .hi = static_cast<float>(r.hi - r.zero_point),
          .addend_zero_point = raw_zero_point(problem.output_dtype, r.addend_zero_point),
          .addend_flip = raw_flip(problem.output_dtype),
          .addend_multiplier = r.addend_multiplier,
          .bytes = byte_range(problem, r),
          .bounded = r.magnitude + (has_add(problem.post_op) ? 255 * r.addend_multiplier : 0) < 0x1p30F};
}

}  // namespace qconv::engines
