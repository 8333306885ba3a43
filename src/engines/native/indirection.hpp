#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engines/native/sub_convolution.hpp"

namespace qconv::engines {

/// Neighbouring outputs of one output line.
struct Segment {
  std::int64_t line;  ///< these two count from the first of a chunk
  std::int64_t x;
  std::int64_t count;
};

/// Where the outputs of a sub-convolution read their taps. A line is a row of output pixels along the width,
/// a plane the lines of one image and output depth. A row tap is a combination of a depth and a height tap:
/// it reads one line of the input. A pointwise convolution of the input as it is, is a single line that runs
/// through all images.
class Indirection {
 public:
  /// How the input is read: as it is, or from the lines of a PaddedLines, there also with all width taps as
  /// one, or all height and width taps.
  enum class Lines : std::uint8_t { input, padded, padded_rows, padded_planes };
  /// Lines that are padded hold `channel_bytes` for every channel.
  Indirection(const ConvProblem& problem, const SubConvolution& part, Lines lines,
              std::int64_t channel_bytes);

  std::int64_t planes() const noexcept { return planes_; }
  std::int64_t lines() const noexcept { return lines_; }  ///< in a plane
  std::int64_t width() const noexcept { return width_; }  ///< outputs in a line
  std::int64_t row_taps() const noexcept { return taps_[0] * taps_[1]; }
  std::int64_t taps() const noexcept { return row_taps() * taps_[2]; }
  /// Whether some output reads a tap in zero padding.
  bool reads_padding() const noexcept { return reads_padding_; }

  /// The input lines of the output lines [first, first + count) of a plane: [line][row tap], null in zero
  /// padding.
  void input_lines(std::int64_t plane, std::int64_t first, std::int64_t count, const std::uint8_t* input,
                   const std::uint8_t** to) const;

  /// Offset of the first output of a line.
  std::int64_t output_line(std::int64_t plane, std::int64_t line) const;

  /// What a tile's pointers are made of: `lines` as above; positions count from output `first_x` of the line;
  /// `zeros` is where a tap in zero padding reads.
  struct Source {
    const std::uint8_t* const* lines;
    std::int64_t first_x;
    const std::uint8_t* zeros;
  };
  /// Pointers of a tile, `rows` outputs in all: [tap][row], and each tap's index. With `skip`, taps that lie
  /// in the padding for the whole tile are left out. Returns how many there are.
  std::size_t fill(const Source& source, const std::vector<Segment>& segments, std::size_t rows, bool skip,
                   const std::uint8_t** pixels, std::uint32_t* tap_indices) const;

  /// The same of a single tap. Returns whether any output reads it outside of zero padding.
  bool fill_tap(const Source& source, std::span<const Segment> segments, std::int64_t row_tap,
                std::int64_t width_tap, const std::uint8_t** pixels) const;

  /// Where the first of neighbouring outputs that read no padding along the width reads a tap; null in zero
  /// padding.
  const std::uint8_t* first_pixel(const Source& source, const Segment& s, std::int64_t row_tap,
                                  std::int64_t width_tap) const noexcept {
    const std::uint8_t* line = source.lines[s.line * row_taps() + row_tap];
    return line == nullptr ? nullptr
                           : line + width_offsets_[static_cast<std::size_t>(width_tap)] +
                                 (source.first_x + s.x) * input_step_;
  }
  std::int64_t width_taps() const noexcept { return taps_[2]; }
  bool inside(const Source& source, const Segment& s) const noexcept {
    return source.first_x + s.x >= inside_begin_ && source.first_x + s.x + s.count <= inside_end_;
  }

  /// The outputs of a line, from begin to before end, that read no padding along the width: there, pointers
  /// are those of others, shifted.
  std::int64_t inside_begin() const noexcept { return inside_begin_; }
  std::int64_t inside_end() const noexcept { return inside_end_; }
  std::int64_t input_offset(std::int64_t x) const noexcept { return x * input_step_; }

  /// The offset of output x from the first of its line.
  std::int64_t output_offset(std::int64_t x) const noexcept { return x * output_step_; }

 private:
  std::int64_t planes_ = 1;
  std::int64_t lines_ = 1;
  std::int64_t width_ = 1;
  std::array<std::int64_t, 3> taps_{1, 1, 1};
  bool reads_padding_ = false;
  std::int64_t depths_ = 1;  // output depths of an image
  // Bytes.
  std::int64_t input_image_ = 0;
  std::array<std::vector<std::int64_t>, 2> rows_;  // depth, height: [output][tap], -1 in zero padding
  std::int64_t input_step_ = 0;                    // from one output's tap to the next output's
  std::vector<std::int64_t> width_offsets_;        // [tap], of output 0
  std::int64_t inside_begin_ = 0;                  // outputs whose width taps are all in the line ...
  std::int64_t inside_end_ = 0;                    // ... end before this
  std::vector<std::int64_t> widths_;               // [output][tap], -1 in zero padding
  std::int64_t output_image_ = 0;
  std::array<std::vector<std::int64_t>, 2> output_rows_;  // depth, height
  std::int64_t output_begin_ = 0;
  std::int64_t output_step_ = 0;
};

}  // namespace qconv::engines
