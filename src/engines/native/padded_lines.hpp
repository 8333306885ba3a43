#pragma once

#include <cstdint>
#include <vector>

#include "engines/native/sub_convolution.hpp"
#include "engines/native/tiling.hpp"

namespace qconv::engines {

/// Copies of input lines with their padding in place: a row of the kernel reads contiguous bytes wherever it
/// stands, and may read a few past the end. For narrow inputs, where a copy costs less than steps that are
/// left half empty, and for kernels in tile registers.
class PaddedLines {
 public:
  /// Where lines are: one after another, or so that the pixels which a tap reads lie equally far apart
  /// through all lines of outputs, with a few between two lines that belong to no output.
  /// The latter also with the pixels that the rows of a kernel read next to each other: lines of outputs.
  enum class Layout : std::uint8_t { lines, through, planes };
  /// `zero_point` as the input's bytes have it. With `channel_bytes` 2 the copies are unsigned and widened to
  /// 16 bits.
  PaddedLines(const ConvProblem& problem, const SubConvolution& part, std::uint8_t zero_point,
              std::int64_t channel_bytes, Layout layout);

  /// How many outputs' pixels lie from a line of outputs to the next, but with Layout::lines.
  std::int64_t line_step(std::int64_t width) const { return copied_pixels(width) / part_[2].stride; }

  /// Bytes of scratch for a chunk of so many lines and so wide.
  std::size_t bytes(std::int64_t lines, std::int64_t width) const;

  /// Copies what the chunk reads; `to` gets [line][row tap] pointers to the first pixel that its outputs read
  /// in a line, null where all of it is zero padding; it never is with the other layouts.
  void copy(const Chunk& chunk, const std::uint8_t* input, std::uint8_t* scratch,
            const std::uint8_t** to) const;

 private:
  std::int64_t copied_lines(std::int64_t lines) const;
  std::int64_t copied_pixels(std::int64_t width) const;
  std::int64_t place_of(std::int64_t line, std::int64_t lines) const;
  bool is_read(std::int64_t copied, std::int64_t lines) const;
  void copy_plane(const std::uint8_t* image, std::int64_t depth, const Chunk& chunk,
                  std::uint8_t* scratch) const;
  void copy_output_line(const std::uint8_t* plane, std::int64_t first_line, std::int64_t first,
                        std::int64_t pixels, std::uint8_t* to) const;
  void copy_line(const std::uint8_t* line, std::int64_t first, std::int64_t pixels, std::uint8_t* to) const;
  void copy_channels(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) const;

  const ConvProblem problem_;
  const SubConvolution part_;
  const std::int64_t channel_bytes_;
  const Layout layout_;
  std::vector<std::uint8_t> zeros_;  // a pixel of padding
  const std::int64_t depths_;        // output depths of an image
};

}  // namespace qconv::engines
