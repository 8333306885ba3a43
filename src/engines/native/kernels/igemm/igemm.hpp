#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

/// Indirect GEMM: the kernel family of general convolution. A call computes a tile of `rows` output pixels by
/// `columns` output channels; where each pixel reads its taps is a table of pointers, so neither strides nor
/// padding reach the inner loop.
namespace qconv::engines::igemm {

/// Input channels that one packed weight column holds next to each other: a dot product of 4 bytes.
inline constexpr std::size_t kStep = 4;

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
