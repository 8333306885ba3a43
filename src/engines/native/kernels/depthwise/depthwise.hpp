#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

/// Depthwise convolution: every output channel reads one input channel. The taps of a channel lie a pixel
/// apart in memory, so the kernel first interleaves four pixels at a time into dwords of one channel each (a
/// *column*), for a stretch of an output row, and then takes dot products of columns. Neighbouring outputs
/// share most columns, and up to kMostRows output rows, each with its own shift of the weights, share all of
/// them.
///
/// A block of channels fills a vector of bytes. When only a half or a quarter of it is left, two or four
/// neighbouring pixels fill the vector instead: `pixels` of a block.
namespace qconv::engines::depthwise {

/// Taps in one column.
inline constexpr std::size_t kStep = 4;
/// Output rows of one call.
inline constexpr std::size_t kMostRows = 4;
/// The usual distance of streams, in columns of one pixel: fixed, so that the kernels need not add it up, and
/// odd, so that streams do not compete for the same lines of a cache.
inline constexpr std::size_t kStreamColumns = 81;
/// Bytes that a kernel may read and write past the end of a stream, and may read at Args::zeros.
inline constexpr std::size_t kSlack = 1024;

/// Neighbouring columns to interleave. Offsets are bytes from Args::rows.
struct Run {
  std::size_t column;  ///< the first one's place
  std::size_t count;
  const std::int64_t* offsets;  ///< [count][4], -1 in zero padding; null where columns are evenly spaced:
  std::int64_t first;           ///< then column i reads first + i * step + Args::tap_shifts[tap]
  std::int64_t step;
};

/// A stretch of outputs that read three columns each, of up to four rows, so few that kernels may keep them
/// in registers. Offsets are bytes from Args::rows; none but the very first and last column may be padding.
struct Direct {
  std::int64_t first;    ///< of the first output's first column, -1 in zero padding
  std::int64_t second;   ///< of its second one; all that follow are `spacing` apart
  std::int64_t last;     ///< of the last output's last column, -1 in zero padding
  std::int64_t spacing;  ///< 0 where columns must go through scratch
  int advance;  ///< columns from an output to the next: 1, or 2, then one output row reads three rows
};

/// One call: a stretch of some output rows, of one block of channels. All per-channel arrays are in lane
/// order (kernels/lane_order.hpp), repeated for each of the block's pixels.
struct Args {
  std::size_t channels;       ///< 1 to the kernel's block / pixels
  std::size_t pixels;         ///< 1, 2 or 4 outputs side by side in a vector
  const std::uint8_t* image;  ///< the block's first channel
  const std::uint8_t* zeros;  ///< the zero point, for a row of the image and kSlack
  bool signed_input;
  std::size_t groups;              ///< of four rows that make columns
  const std::int64_t* rows;        ///< [groups][4], bytes from image, -1 in zero padding
  const std::int64_t* tap_shifts;  ///< [4]
  const Run* runs;                 ///< how the columns of each group are made
  std::size_t run_count;
  Direct direct;
  std::uint8_t* scratch;            ///< the kernel's streams, aligned to 64
  std::size_t stream_bytes;         ///< from one stream to the next: a vector where pixels is 1
  std::size_t column_bytes;         ///< of one column in one stream
  std::size_t group_columns;        ///< from one group to the next
  std::size_t outputs;              ///< along the width
  std::size_t output_rows;          ///< 1 to kMostRows, at most the packed ones
  std::size_t packed_rows;          ///< how many rows there are weights for
  std::size_t steps;                ///< columns that one output reads
  const std::size_t* step_columns;  ///< [steps], the column that step j of output 0 reads; the next output
                                    ///< reads the next column
  const std::int8_t* weights;       ///< [packed rows][steps], each the taps of a block
  std::uint8_t* output;
  const std::uint8_t* addend;  ///< null when nothing is added
  std::int64_t output_step;    ///< bytes from an output, and an addend, to the next
  std::int64_t output_row_step;
  std::uint8_t output_flip;        ///< 0x80 for signed output
  const std::int32_t* parameters;  ///< Epilogue's initial, bias and multiplier, a block each
  Epilogue epilogue;               ///< its numbers; the arrays are null
};

using Function = void (*)(const Args& args) noexcept;

}  // namespace qconv::engines::depthwise
