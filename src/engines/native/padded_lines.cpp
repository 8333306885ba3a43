#include "engines/native/padded_lines.hpp"

#include <algorithm>
#include <cstring>

#include "engines/native/epilogue.hpp"
#include "engines/native/kernels/igemm/igemm.hpp"
#include "engines/source_index.hpp"

namespace qconv::engines {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr auto kWord = static_cast<std::int64_t>(igemm::kStep);

// Pixels of at most a word next to those of the other rows. They are copied as words: what is too much of one
// lies where the next will.
template <std::size_t Rows>
void interleave_rows(const std::uint8_t* const* sources, std::size_t rows, std::int64_t offset,
                     std::int64_t pixels, std::int64_t channels, std::uint8_t* to) {
  const std::size_t count = Rows > 0 ? Rows : rows;
  for (std::int64_t x = 0; x < pixels; ++x, offset += channels) {
    for (std::size_t i = 0; i < count; ++i, to += channels) std::memcpy(to, sources[i] + offset, kWord);
  }
}

void interleave(const std::vector<const std::uint8_t*>& sources, std::int64_t offset, std::int64_t pixels,
                std::int64_t channels, std::uint8_t* to) {
  const auto of = [&]<std::size_t Rows>() {
    interleave_rows<Rows>(sources.data(), sources.size(), offset, pixels, channels, to);
  };
  switch (sources.size()) {  // the usual ones unrolled
    case 3:
      return of.operator()<3>();
    case 5:
      return of.operator()<5>();
    case 7:
      return of.operator()<7>();
    default:
      return of.operator()<0>();
  }
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
  if (layout_ == Layout::planes) return lines * static_cast<std::int64_t>(part_[1].taps.size());
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

// Whether any of so many lines of outputs reads this copied line.
bool PaddedLines::is_read(std::int64_t copied, std::int64_t lines) const {
  const Phase& height = part_[1];
  return std::any_of(height.offsets.begin(), height.offsets.end(), [&](std::int64_t offset) {
    const std::int64_t at = copied - (offset - height.least_offset());
    return at >= 0 && at % height.stride == 0 && at / height.stride < lines;
  });
}

void PaddedLines::copy(const Chunk& chunk, const std::uint8_t* input, std::uint8_t* scratch,
                       const std::uint8_t** to) const {
  const ConvGeometry& g = problem_.geometry;
  const Spatial& in = problem_.input;
  const Phase& depth = part_[0];
  const Phase& height = part_[1];
  const std::uint8_t* image = input + chunk.plane / depths_ * in[0] * in[1] * in[2] * g.in_channels;
  const std::int64_t lines = copied_lines(chunk.lines);
  const std::int64_t line_bytes = copied_pixels(chunk.width) * g.in_channels * channel_bytes_;
  const auto height_taps = static_cast<std::int64_t>(layout_ == Layout::planes ? 1 : height.taps.size());
  const std::int64_t row_taps = static_cast<std::int64_t>(depth.taps.size()) * height_taps;
  for (std::size_t td = 0; td < depth.taps.size(); ++td, scratch += lines * line_bytes) {
    const std::int64_t d =
        padded_index(g.padding_mode, chunk.plane % depths_ * depth.stride + depth.offsets[td], in[0]);
    copy_plane(image, d, chunk, scratch);
    for (std::int64_t line = 0; line < chunk.lines; ++line) {
      for (std::int64_t th = 0; th < height_taps; ++th) {
        const std::uint8_t*& p = to[line * row_taps + static_cast<std::int64_t>(td) * height_taps + th];
        if (layout_ == Layout::planes) {
          p = scratch + line * (lines / chunk.lines) * line_bytes;
          continue;
        }
        const std::int64_t i =
            line * height.stride + height.offsets[static_cast<std::size_t>(th)] - height.least_offset();
        const std::int64_t first_line = chunk.first_line * height.stride + height.least_offset();
        const bool padding = d < 0 || padded_index_or_none(g.padding_mode, first_line + i, in[1]) < 0;
        p = padding && layout_ == Layout::lines ? nullptr : scratch + place_of(i, lines) * line_bytes;
      }
    }
  }
}

// What the chunk reads of one depth of the image; -1 is zero padding.
void PaddedLines::copy_plane(const std::uint8_t* image, std::int64_t depth, const Chunk& chunk,
                             std::uint8_t* scratch) const {
  const ConvGeometry& g = problem_.geometry;
  const Spatial& in = problem_.input;
  const std::uint8_t* plane = depth < 0 ? nullptr : image + depth * in[1] * in[2] * g.in_channels;
  const std::int64_t pixels = copied_pixels(chunk.width);
  const std::int64_t line_bytes = pixels * g.in_channels * channel_bytes_;
  const std::int64_t lines = copied_lines(chunk.lines);
  const std::int64_t first_line = chunk.first_line * part_[1].stride;
  const std::int64_t first_pixel = chunk.first_x * part_[2].stride + part_[2].least_offset();
  if (layout_ == Layout::planes) {
    for (std::int64_t line = 0; line < chunk.lines; ++line) {
      copy_output_line(plane, first_line + line * part_[1].stride, first_pixel, pixels, scratch);
      scratch += lines / chunk.lines * line_bytes;
    }
    return;
  }
  for (std::int64_t i = 0; i < lines; ++i) {
    const std::int64_t h =
        padded_index_or_none(g.padding_mode, first_line + part_[1].least_offset() + i, in[1]);
    const bool padding = plane == nullptr || h < 0;
    if ((padding && layout_ == Layout::lines) || !is_read(i, chunk.lines)) continue;
    std::uint8_t* const to = scratch + place_of(i, lines) * line_bytes;
    if (!padding) {
      copy_line(plane + h * in[2] * g.in_channels, first_pixel, pixels, to);
      continue;
    }
    for (std::int64_t x = 0; x < pixels; ++x) {
      copy_channels(zeros_.data(), g.in_channels, to + x * g.in_channels * channel_bytes_);
    }
  }
}

// Of each pixel, the rows that one line of outputs reads.
void PaddedLines::copy_output_line(const std::uint8_t* plane, std::int64_t first_line, std::int64_t first,
                                   std::int64_t pixels, std::uint8_t* to) const {
  const ConvGeometry& g = problem_.geometry;
  const std::int64_t channels = g.in_channels;
  const std::int64_t width = problem_.input[2];
  const std::vector<std::int64_t>& offsets = part_[1].offsets;
  const auto rows = static_cast<std::int64_t>(offsets.size());
  thread_local std::vector<const std::uint8_t*> sources;  // null in zero padding
  sources.clear();
  for (const std::int64_t offset : offsets) {
    const std::int64_t h = padded_index_or_none(g.padding_mode, first_line + offset, problem_.input[1]);
    sources.push_back(plane == nullptr || h < 0 ? nullptr : plane + h * width * channels);
  }
  // Pixels that all rows have and that may be read as words, though they are narrower.
  const bool all = std::find(sources.begin(), sources.end(), nullptr) == sources.end();
  const std::int64_t begin = std::clamp<std::int64_t>(-first, 0, pixels);
  const std::int64_t words = std::min(width - kWord - first, pixels - 1);
  const std::int64_t end = all ? std::max(begin, words) : begin;
  const auto exactly = [&](std::int64_t from, std::int64_t stop) {
    for (std::int64_t x = from; x < stop; ++x) {
      const std::int64_t at = padded_index_or_none(g.padding_mode, first + x, width);
      std::uint8_t* pixel = to + x * rows * channels;
      for (const std::uint8_t* source : sources) {
        const bool zero = source == nullptr || at < 0;
        std::memcpy(pixel, zero ? zeros_.data() : source + at * channels, static_cast<std::size_t>(channels));
        pixel += channels;
      }
    }
  };
  exactly(0, begin);
  interleave(sources, (first + begin) * channels, end - begin, channels, to + begin * rows * channels);
  exactly(end, pixels);
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
