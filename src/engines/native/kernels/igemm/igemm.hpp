#pragma once

#include <cstddef>
#include <cstdint>

/// Indirect GEMM: the kernel family of general convolution. A call computes a tile of `rows` output pixels by
/// `columns` output channels; where each pixel reads its taps is a table of pointers, so neither strides nor
/// padding reach the inner loop.
namespace qconv::engines::igemm {

/// Input channels that one packed weight column holds next to each other: a dot product of 4 bytes.
inline constexpr std::size_t kStep = 4;

/// The scaling of one tile, per output channel, padded to the tile's columns. See
/// quantize/requantization.hpp.
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

/// One call. Preconditions: 1 <= rows <= MR and 1 <= columns <= NR of the kernel; `weights` is packed for
/// ceil(columns / lanes) vectors; no pointer is null but `addend` and `row_sums`. Reads exactly `channels`
/// bytes at each tap.
struct Args {
  std::size_t rows;
  std::size_t columns;
  std::size_t taps;
  std::size_t channels;               ///< bytes per tap
  const std::uint8_t* const* pixels;  ///< [taps][MR] pointers
  std::size_t channel_offset;         ///< added to each: where the group starts
  const std::int8_t* weights;  ///< [taps][ceil(channels / 4)][vectors * lanes][4], zeros beyond the channels
  const std::int32_t* row_sums;        ///< [MR] sums of the bytes read; used with weight zero points only
  const std::int64_t* output_offsets;  ///< [MR] from `output` and `addend`
  std::uint8_t* output;
  const std::uint8_t* addend;  ///< null when nothing is added
  Epilogue epilogue;
};

using Function = void (*)(const Args& args) noexcept;

}  // namespace qconv::engines::igemm
