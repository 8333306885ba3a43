#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

/// Winograd's F(4x4, 3x3) on integers, exactly: a tile of 4 x 4 outputs takes 36 products for each pair of
/// channels instead of 144. Three steps: `transform_input` turns a patch of 6 x 6 pixels into 36 *points*,
/// `multiply` is a matrix product at each point, `transform_output` turns the 36 sums back into 16 outputs.
/// docs/winograd.md derives it.
namespace qconv::engines::winograd {

inline constexpr std::size_t kOutputs = 4;  ///< of a tile, along each dimension
inline constexpr std::size_t kPatch = 6;    ///< pixels that they read
inline constexpr std::size_t kPoints = kPatch * kPatch;
/// Output 0 of a dimension is computed 24 times too large, the others 12 times: in two dimensions at most
/// 64 * 9 times.
inline constexpr int kSpareBits = 6;
inline constexpr std::int32_t kInverseOf9 = 0x38e38e39;  ///< modulo 2^32

/// Adding this to the sum at point (1, 1) takes 1 off every output.
inline constexpr std::int32_t kCentreScale = -144;

/// One patch. Reads exactly `channels` bytes of each pixel; writes, at each point, `channels` rounded up to
/// 32, what is beyond them being arbitrary.
struct InputArgs {
  const std::uint8_t* const* pixels;  ///< [kPoints], row by row
  std::size_t channels;
  std::int16_t zero_point;   ///< of the bytes as they are, signed or not
  std::int16_t* points;      ///< aligned to 64
  std::size_t point_stride;  ///< elements, a multiple of 32
};

/// At every point, tiles by columns: sums over taps and channels.
struct MultiplyArgs {
  std::size_t tiles;
  std::size_t vectors;         ///< of columns: 1 to the kernel's
  std::size_t taps;            ///< in depth; may be 0
  std::size_t pairs;           ///< of channels
  const std::int16_t* points;  ///< as InputArgs writes it; an odd last channel meets a zero weight
  std::size_t point_stride;    ///< elements from one to the next, as are the other two
  std::size_t tile_stride;
  std::size_t tap_stride;
  const std::int16_t* weights;  ///< [kPoints] of [taps][pairs][vectors * lanes][2]
  std::size_t weights_stride;   ///< from one point to the next
  std::int32_t* sums;           ///< [tiles][kPoints][vectors * lanes], aligned to 64
};

/// Where a tile's outputs go. Tiles at the border have fewer than 4 x 4.
struct TileOutputs {
  std::int64_t offset;  ///< of the first one, from `output` and `addend`
  std::size_t height;
  std::size_t width;
};

struct OutputArgs {
  std::size_t tiles;
  std::size_t columns;  ///< of which the last vector may have fewer than its lanes
  const std::int32_t* sums;
  const TileOutputs* positions;  ///< [tiles]
  std::int64_t row_stride;       ///< from an output to the one below, and
  std::int64_t column_stride;    ///< to the one beside it
  const std::int32_t* centre;    ///< per column: kCentreScale * the middle of the interval of the sums
  std::uint8_t* output;
  const std::uint8_t* addend;  ///< null when nothing is added
  Epilogue epilogue;           ///< `initial` is the integer bias plus that middle; no weight zero points
};

/// The three steps of one kernel.
struct Steps {
  void (*transform_unsigned)(const InputArgs&) noexcept;
  void (*transform_signed)(const InputArgs&) noexcept;
  void (*multiply)(const MultiplyArgs&) noexcept;
  void (*transform_output)(const OutputArgs&) noexcept;
};

}  // namespace qconv::engines::winograd
