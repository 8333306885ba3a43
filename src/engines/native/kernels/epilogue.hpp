#pragma once

#include <cstdint>

namespace qconv::engines {

/// What a kernel does with its accumulators before it stores them. The arrays are per output channel, in the
/// order and with the padding of the kernel's tile. See quantize/requantization.hpp.
struct Epilogue {
  const std::int32_t* initial;  ///< accumulator start: integer bias and zero-point corrections
  const float* bias;            ///< times bias_scale, fused into the accumulator as float
  float bias_scale;
  const float* multiplier;                 ///< positive
  const std::int32_t* weight_zero_points;  ///< null when all are 0
  std::int32_t zero_point;                 ///< of the output, added after rounding
  float lo;                                ///< lowest output less the zero point
  float hi;                                ///< highest output less the zero point
  std::int32_t addend_zero_point;          ///< as a byte from 0 to 255
  std::uint8_t addend_flip;  ///< 0x80 when the addend is signed: turns its bytes into unsigned ones
  float addend_multiplier;
};

}  // namespace qconv::engines
