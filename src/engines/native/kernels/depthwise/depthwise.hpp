#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

/// Depthwise convolution: every output channel reads one input channel. The taps of a channel lie a pixel
/// apart in memory, so the kernel first interleaves four pixels at a time into dwords of one channel each (a
/// *column*), for a stretch of an output row, and then takes dot products of columns. Neighbouring outputs
/// share most columns.
namespace qconv::engines::depthwise {

/// Taps in one column.
inline constexpr std::size_t kStep = 4;

/// One call: `outputs` neighbouring outputs of a row, of one block of at most kBlock channels. All
/// per-channel arrays are in lane order (kernels/lane_order.hpp).
struct Args {
  std::size_t channels;               ///< 1 to the kernel's block
  std::size_t columns;                ///< how many to interleave
  const std::uint8_t* const* pixels;  ///< [columns][4], where channel 0 of each pixel is
  std::size_t channel_offset;         ///< the block's first channel, added to each pointer
  std::uint8_t flip;                  ///< 0x80 for signed input: makes its bytes unsigned
  std::uint8_t* scratch;              ///< columns * block * 4 bytes, aligned to 64
  std::size_t outputs;
  std::size_t steps;                   ///< columns that one output reads
  const std::size_t* step_columns;     ///< [steps], the column that step j of output 0 reads
  std::size_t output_stride;           ///< by how many columns the next output is ahead
  const std::int8_t* weights;          ///< [steps][block][4]
  const std::int64_t* output_offsets;  ///< [outputs] from `output` and `addend`
  std::uint8_t* output;
  const std::uint8_t* addend;  ///< null when nothing is added
  Epilogue epilogue;           ///< without weight zero points
};

using Function = void (*)(const Args& args) noexcept;

}  // namespace qconv::engines::depthwise
