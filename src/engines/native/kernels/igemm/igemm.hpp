#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

/// Indirect GEMM: the kernel family of general convolution. A call computes tiles of `rows` output pixels by
/// `columns` output channels; where each pixel reads its taps is a table of pointers, so neither strides nor
/// padding reach the inner loop. The grouped family (kernels/grouped) has the same contract.
namespace qconv::engines::igemm {

/// Bytes that one packed weight column holds next to each other, a dot product: 4 channels or, of instruction
/// sets that multiply words, 2 that were widened.
inline constexpr std::size_t kStep = 4;

/// Pixels that lie equally far apart: what a tile register loads.
struct PixelRun {
  const std::uint8_t* first;
  std::int64_t step;  ///< bytes from one to the next
};

/// Neighbouring rows of a tile.
struct RowSpan {
  std::uint32_t first;
  std::uint32_t count;
};

/// One call. Preconditions: 1 <= rows <= the kernel's rows and 1 <= columns <= its columns; no pointer is
/// null but `addend`, `row_sums` and `spread`. Reads exactly `channels` bytes at each tap, but never less
/// than 4.
struct Args {
  std::size_t tiles;         ///< this many, whose pointers and outputs lie equally far apart:
  std::int64_t input_step;   ///< bytes from a tile's pixels to the next tile's
  std::int64_t output_step;  ///< the same of `output` and `addend`
  std::size_t rows;
  std::size_t columns;
  std::size_t taps;
  std::size_t channels;               ///< bytes of a pixel per tap
  const std::uint8_t* const* pixels;  ///< [taps][rows] pointers; not of kernels in tile registers
  /// Of these, [taps][2]: rows 0 to 15 and, where there are more than 16, the others. They load 16 pixels of
  /// every run, and whole multiples of 64 bytes of each.
  const PixelRun* runs;
  const RowSpan* spans;  ///< of these, the rows that are outputs: what `output_offsets` has one after another
  std::size_t span_count;
  std::int64_t channel_offset;  ///< added to each: where the group starts, and how far the tile is shifted
  /// Per tap [steps][vectors * lanes][4]. Indirect GEMM takes channels 4 s to 4 s + 3 in step s; when the
  /// channels are no multiple of 4, but more, its last step takes the last 4 of them, some for the second
  /// time, with zero weights. Grouped takes in step s the bytes that `spread` names; its channels are the
  /// columns.
  const std::int8_t* weights;
  const std::uint32_t* tap_indices;  ///< [taps]: which of the packed taps each is
  std::size_t tap_bytes;             ///< from one packed tap to the next
  bool near;                         ///< so few weights that the first-level cache keeps them
  /// Weights that will be read after these, to be fetched meanwhile: from tile `ahead_tile` on a line for
  /// each step, until `ahead_end`.
  const std::int8_t* ahead;
  const std::int8_t* ahead_end;
  std::size_t ahead_tile;
  const std::uint8_t* spread;  ///< grouped only: [steps][vectors][16], see kernels/grouped/body.hpp
  std::size_t steps;           ///< grouped only
  const std::int32_t*
      row_sums;  ///< [rows] sums of the bytes read; with weight zero points, when there is one tile
  const std::int64_t* output_offsets;  ///< [rows] from `output` and `addend`
  std::uint8_t* output;
  const std::uint8_t* addend;  ///< null when nothing is added
  Epilogue epilogue;
};

using Function = void (*)(const Args& args) noexcept;

/// What kernels in tile registers need beside their functions.
struct TileUnit {
  /// Around the calls of a thread: the registers get their shape, and are let go.
  void (*begin)() noexcept;
  void (*end)() noexcept;
  /// Copies `bytes` bytes of each pixel to places that are `step` bytes apart.
  void (*gather)(const std::uint8_t* const* pixels, std::size_t count, std::size_t bytes, std::uint8_t* to,
                 std::size_t step) noexcept;
};

/// Rows of a tile register, and bytes of a pixel that it holds.
inline constexpr std::size_t kRunPixels = 16;
inline constexpr std::size_t kRunBytes = 64;

}  // namespace qconv::engines::igemm
