#pragma once

#include <cstdint>
#include <vector>

#include "engines/native/sub_convolution.hpp"
#include "engines/native/tiling.hpp"

namespace qconv::engines {

/// Copies of input lines with their padding in place: a row of the kernel reads contiguous bytes wherever it
/// stands, and may read a few past the end. For narrow inputs only: there a copy costs less than steps that
/// are left half empty.
class PaddedLines {
 public:
  /// `zero_point` as the input's bytes have it. With `channel_bytes` 2 the copies are unsigned and widened to
  /// 16 bits.
  PaddedLines(const ConvProblem& problem, const SubConvolution& part, std::uint8_t zero_point,
              std::int64_t channel_bytes);

  /// Bytes of scratch for a chunk of so many lines and so wide.
  std::size_t bytes(std::int64_t lines, std::int64_t width) const;

  /// Copies what the chunk reads; `to` gets [line][row tap] pointers to the first pixel that its outputs read
  /// in a line, null where all of it is zero padding.
  void copy(const Chunk& chunk, const std::uint8_t* input, std::uint8_t* scratch,
            const std::uint8_t** to) const;

 private:
  std::int64_t copied_lines(std::int64_t lines) const;
  std::int64_t copied_pixels(std::int64_t width) const;
  void copy_line(const std::uint8_t* line, std::int64_t first, std::int64_t pixels, std::uint8_t* to) const;
  void copy_channels(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) const;

  const ConvProblem problem_;
  const SubConvolution part_;
  const std::int64_t channel_bytes_;
  std::vector<std::uint8_t> zeros_;  // a pixel of padding
  const std::int64_t depths_;        // output depths of an image
};

}  // namespace qconv::engines
