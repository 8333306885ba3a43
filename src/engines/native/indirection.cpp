#include "engines/native/indirection.hpp"

#include <algorithm>

#include "engines/source_index.hpp"

namespace qconv::engines {
namespace {

bool is_pointwise(const SubConvolution& part) {
  return std::all_of(part.begin(), part.end(), [](const Phase& p) {
    return p.taps.size() == 1 && p.offsets[0] == 0 && p.stride == 1 && p.step == 1;
  });
}

}  // namespace

Indirection::Indirection(const ConvProblem& problem, const SubConvolution& part, Lines lines,
                         std::int64_t channel_bytes) {
  const ConvGeometry& g = problem.geometry;
  const Spatial& in = problem.input;
  const Spatial out = problem.output();
  input_step_ = g.in_channels * part[2].stride * channel_bytes;
  output_step_ = g.out_channels * part[2].step;
  output_begin_ = g.out_channels * part[2].begin;
  if (lines == Lines::input && is_pointwise(part) && in == out) {
    width_ = problem.batch * out[0] * out[1] * out[2];
    inside_end_ = width_;
    width_offsets_ = {0};
    rows_ = {std::vector<std::int64_t>{0}, std::vector<std::int64_t>{0}};
    output_rows_ = rows_;
    return;
  }
  input_image_ = g.in_channels * in[0] * in[1] * in[2];
  output_image_ = g.out_channels * out[0] * out[1] * out[2];
  std::int64_t in_stride = g.in_channels * in[2];
  std::int64_t out_stride = g.out_channels * out[2];
  for (const std::size_t d : {1U, 0U}) {
    const Phase& phase = part[d];
    taps_[d] = static_cast<std::int64_t>(phase.taps.size());
    for (std::int64_t i = 0; i < phase.count(out[d]); ++i) {
      output_rows_[d].push_back((phase.begin + i * phase.step) * out_stride);
      for (const std::int64_t offset : phase.offsets) {
        const std::int64_t at = padded_index(g.padding_mode, i * phase.stride + offset, in[d]);
        rows_[d].push_back(at < 0 ? -1 : at * in_stride);
        reads_padding_ = reads_padding_ || at < 0;
      }
    }
    in_stride *= in[d];
    out_stride *= out[d];
  }
  depths_ = part[0].count(out[0]);
  planes_ = problem.batch * depths_;
  lines_ = part[1].count(out[1]);
  width_ = part[2].count(out[2]);
  const Phase& phase = part[2];
  inside_end_ = width_;
  const bool whole_rows = lines == Lines::padded_rows || lines == Lines::padded_planes;
  taps_[2] = whole_rows ? 1 : static_cast<std::int64_t>(phase.taps.size());
  if (lines == Lines::padded_planes) {
    input_step_ *= taps_[1];
    taps_[1] = 1;
  }
  const std::int64_t first = lines == Lines::input ? 0 : phase.least_offset();
  for (std::size_t t = 0; t < static_cast<std::size_t>(taps_[2]); ++t) {
    width_offsets_.push_back((phase.offsets[t] - first) * g.in_channels * channel_bytes);
  }
  if (lines != Lines::input) return;
  for (std::int64_t i = 0; i < width_; ++i) {
    bool inside = true;
    for (const std::int64_t offset : phase.offsets) {
      const std::int64_t x = i * phase.stride + offset;
      const std::int64_t at = padded_index(g.padding_mode, x, in[2]);
      widths_.push_back(at < 0 ? -1 : at * g.in_channels);
      reads_padding_ = reads_padding_ || at < 0;
      inside = inside && at >= 0 && at == x;
    }
    if (inside) continue;
    // Before the first output that is inside, or behind the last.
    if (inside_begin_ == i) {
      inside_begin_ = i + 1;
    } else {
      inside_end_ = std::min(inside_end_, i);
    }
  }
}

void Indirection::input_lines(std::int64_t plane, std::int64_t first, std::int64_t count,
                              const std::uint8_t* input, const std::uint8_t** to) const {
  const std::uint8_t* image = input + plane / depths_ * input_image_;
  const std::int64_t* depth = rows_[0].data() + plane % depths_ * taps_[0];
  for (std::int64_t line = first; line < first + count; ++line) {
    const std::int64_t* height = rows_[1].data() + line * taps_[1];
    for (std::int64_t td = 0; td < taps_[0]; ++td) {
      for (std::int64_t th = 0; th < taps_[1]; ++th) {
        *to++ = depth[td] < 0 || height[th] < 0 ? nullptr : image + depth[td] + height[th];
      }
    }
  }
}

std::int64_t Indirection::output_line(std::int64_t plane, std::int64_t line) const {
  return plane / depths_ * output_image_ + output_rows_[0][static_cast<std::size_t>(plane % depths_)] +
         output_rows_[1][static_cast<std::size_t>(line)] + output_begin_;
}

bool Indirection::fill_tap(const Source& source, std::span<const Segment> segments, std::int64_t row_tap,
                           std::int64_t width_tap, const std::uint8_t** pixels) const {
  bool any = false;
  for (const Segment& s : segments) {
    const std::uint8_t* line = source.lines[s.line * row_taps() + row_tap];
    const std::int64_t x = source.first_x + s.x;
    if (line == nullptr) {
      pixels = std::fill_n(pixels, s.count, source.zeros);
    } else if (inside(source, s)) {
      const std::uint8_t* p = line + width_offsets_[static_cast<std::size_t>(width_tap)] + x * input_step_;
      for (std::int64_t i = 0; i < s.count; ++i) *pixels++ = p + i * input_step_;
      any = true;
    } else {
      const std::int64_t* widths = widths_.data() + x * taps_[2] + width_tap;
      for (std::int64_t i = 0; i < s.count; ++i, widths += taps_[2]) {
        *pixels++ = *widths < 0 ? source.zeros : line + *widths;
        any = any || *widths >= 0;
      }
    }
  }
  return any;
}

std::size_t Indirection::fill(const Source& source, const std::vector<Segment>& segments, std::size_t rows,
                              bool skip, const std::uint8_t** pixels, std::uint32_t* tap_indices) const {
  std::size_t count = 0;
  std::uint32_t index = 0;
  for (std::int64_t row_tap = 0; row_tap < row_taps(); ++row_tap) {
    for (std::int64_t width_tap = 0; width_tap < taps_[2]; ++width_tap, ++index) {
      const bool any = fill_tap(source, segments, row_tap, width_tap, pixels);
      if (skip && !any) continue;
      tap_indices[count++] = index;
      pixels += rows;
    }
  }
  return count;
}

}  // namespace qconv::engines
