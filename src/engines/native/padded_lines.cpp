#include "engines/native/padded_lines.hpp"

#include <algorithm>
#include <cstring>

#include "engines/native/epilogue.hpp"
#include "engines/source_index.hpp"

namespace qconv::engines {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

PaddedLines::PaddedLines(const ConvProblem& problem, const SubConvolution& part, std::uint8_t zero_point,
                         std::int64_t channel_bytes, Layout layout)
    : problem_(problem),
      part_(part),
      channel_bytes_(channel_bytes),
      layout_(layout),
      zeros_(static_cast<std::size_t>(problem.geometry.in_channels), zero_point),
      depths_(part[0].count(problem.output()[0])) {}

std::int64_t PaddedLines::copied_lines(std::int64_t lines) const {
  const std::int64_t read =
      (lines - 1) * part_[1].stride + part_[1].most_offset() - part_[1].least_offset() + 1;
  return layout_ == Layout::lines ? read : round_up(read, part_[1].stride);
}

std::int64_t PaddedLines::copied_pixels(std::int64_t width) const {
  const std::int64_t read =
      (width - 1) * part_[2].stride + part_[2].most_offset() - part_[2].least_offset() + 1;
  return layout_ == Layout::lines ? read : round_up(read, part_[2].stride);
}

// Lines that neighbouring outputs read with the same tap lie next to each other with Layout::through.
std::int64_t PaddedLines::place_of(std::int64_t line, std::int64_t lines) const {
  const std::int64_t stride = layout_ == Layout::lines ? 1 : part_[1].stride;
  return line % stride * (lines / stride) + line / stride;
}

std::size_t PaddedLines::bytes(std::int64_t lines, std::int64_t width) const {
  // Kernels read four bytes even where a pixel has fewer.
  constexpr std::size_t kSlack = 4;
  return kSlack +
         part_[0].taps.size() * static_cast<std::size_t>(copied_lines(lines) * copied_pixels(width) *
                                                         problem_.geometry.in_channels * channel_bytes_);
}

void PaddedLines::copy(const Chunk& chunk, const std::uint8_t* input, std::uint8_t* scratch,
                       const std::uint8_t** to) const {
  const ConvGeometry& g = problem_.geometry;
  const Spatial& in = problem_.input;
  const Phase& depth = part_[0];
  const Phase& height = part_[1];
  const std::int64_t line_bytes = in[2] * g.in_channels;
  const std::uint8_t* image = input + chunk.plane / depths_ * in[0] * in[1] * line_bytes;
  const std::int64_t pixels = copied_pixels(chunk.width);
  const std::int64_t copy_bytes = pixels * g.in_channels * channel_bytes_;
  const std::int64_t lines = copied_lines(chunk.lines);
  const std::int64_t first_line = chunk.first_line * height.stride + height.least_offset();
  const std::int64_t first_pixel = chunk.first_x * part_[2].stride + part_[2].least_offset();
  const std::size_t row_taps = depth.taps.size() * height.taps.size();
  std::fill_n(to, static_cast<std::size_t>(chunk.lines) * row_taps, nullptr);
  for (std::size_t td = 0; td < depth.taps.size(); ++td) {
    const std::int64_t d =
        padded_index(g.padding_mode, chunk.plane % depths_ * depth.stride + depth.offsets[td], in[0]);
    for (std::int64_t i = 0; i < lines; ++i) {
      const std::int64_t h = padded_index_or_none(g.padding_mode, first_line + i, in[1]);
      const bool inside = d >= 0 && h >= 0;
      if (!inside && layout_ == Layout::lines) continue;
      std::uint8_t* const copied = scratch + place_of(i, lines) * copy_bytes;
      bool read = false;
      for (std::int64_t line = 0; line < chunk.lines; ++line) {
        for (std::size_t th = 0; th < height.taps.size(); ++th) {
          if (line * height.stride + height.offsets[th] - height.least_offset() != i) continue;
          to[static_cast<std::size_t>(line) * row_taps + td * height.taps.size() + th] = copied;
          read = true;
        }
      }
      if (!read) continue;
      if (inside) {
        copy_line(image + (d * in[1] + h) * line_bytes, first_pixel, pixels, copied);
      } else {
        for (std::int64_t x = 0; x < pixels; ++x) {
          copy_channels(zeros_.data(), g.in_channels, copied + x * g.in_channels * channel_bytes_);
        }
      }
    }
    scratch += lines * copy_bytes;
  }
}

void PaddedLines::copy_line(const std::uint8_t* line, std::int64_t first, std::int64_t pixels,
                            std::uint8_t* to) const {
  const std::int64_t channels = problem_.geometry.in_channels;
  const std::int64_t width = problem_.input[2];
  const std::int64_t inside_begin = std::clamp<std::int64_t>(-first, 0, pixels);
  const std::int64_t inside_end = std::clamp<std::int64_t>(width - first, inside_begin, pixels);
  const std::int64_t pixel_bytes = channels * channel_bytes_;
  const auto border = [&](std::int64_t from, std::int64_t end) {
    for (std::int64_t i = from; i < end; ++i) {
      const std::int64_t x = padded_index_or_none(problem_.geometry.padding_mode, first + i, width);
      copy_channels(x < 0 ? zeros_.data() : line + x * channels, channels, to + i * pixel_bytes);
    }
  };
  border(0, inside_begin);
  if (inside_end > inside_begin) {
    copy_channels(line + (first + inside_begin) * channels, (inside_end - inside_begin) * channels,
                  to + inside_begin * pixel_bytes);
  }
  border(inside_end, pixels);
}

void PaddedLines::copy_channels(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) const {
  if (channel_bytes_ == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count));
    return;
  }
  const std::uint8_t flip = raw_flip(problem_.input_dtype);
  auto* words = reinterpret_cast<std::uint16_t*>(to);
  for (std::int64_t i = 0; i < count; ++i) words[i] = from[i] ^ flip;
}

}  // namespace qconv::engines
