#pragma once

#include <cstdint>

namespace qconv::engines {

/// How rounded values become the output's bytes, in the unsigned domain: signed output is computed 128 higher
/// and then has its top bit flipped.
struct ByteRange {
  std::int32_t zero_point;  ///< 0 to 255, added after rounding
  std::uint8_t lo;
  std::uint8_t hi;
  std::uint8_t flip;  ///< 0x80 when the output is signed
};

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
  ByteRange bytes;
  /// No value exceeds int32 before rounding, so that the limits may wait until there are bytes to limit.
  bool bounded;
};

}  // namespace qconv::engines
