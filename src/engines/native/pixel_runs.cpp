#include "engines/native/pixel_runs.hpp"

#include <algorithm>

namespace qconv::engines {
namespace {

constexpr auto kRunPixels = static_cast<std::int64_t>(igemm::kRunPixels);

// Bytes from one copied pixel to the next.
std::size_t copy_step(std::size_t extent) {
  return (extent + igemm::kRunBytes - 1) / igemm::kRunBytes * igemm::kRunBytes;
}

// Whether a run reads within the memory: always 16 pixels, though a tile may want fewer.
bool fits(const PixelRuns::Memory& memory, const std::uint8_t* first, std::int64_t step) {
  return (kRunPixels - 1) * step + static_cast<std::int64_t>(memory.extent) <= memory.end - first;
}

// The first pixel of outputs that read neighbouring pixels, on whatever lines; null where they do not.
const std::uint8_t* contiguous(const Indirection& indirection, const PixelRuns::Memory& memory,
                               const std::vector<Segment>& segments, std::int64_t row_tap,
                               std::int64_t width_tap) {
  const std::uint8_t* first = nullptr;
  const std::uint8_t* next = nullptr;
  for (const Segment& s : segments) {
    if (!indirection.inside(memory.source, s)) return nullptr;
    const std::uint8_t* p = indirection.first_pixel(memory.source, s, row_tap, width_tap);
    if (p == nullptr || (next != nullptr && p != next)) return nullptr;
    if (first == nullptr) first = p;
    next = p + indirection.input_offset(s.count);
  }
  return first;
}

// The distance between pixels that are equally far apart.
bool equal_steps(const std::uint8_t* const* pixels, std::int64_t count, std::int64_t& step) {
  step = count > 1 ? pixels[1] - pixels[0] : 0;
  for (std::int64_t i = 2; i < count; ++i) {
    if (pixels[i] - pixels[i - 1] != step) return false;
  }
  return step >= 0;
}

}  // namespace

void PixelRuns::start(std::int64_t tiles, std::int64_t taps, std::size_t extent) {
  runs_.clear();
  used_ = 0;
  const std::size_t most = static_cast<std::size_t>(2 * tiles * taps * kRunPixels) * copy_step(extent);
  if (copies_.size() < most) copies_ = AlignedBuffer<std::uint8_t>(most);
}

std::size_t PixelRuns::add_tile(const Indirection& indirection, const Memory& memory,
                                std::span<const Segment> segments, bool skip, std::uint32_t* tap_indices) {
  for (auto& half : segments_) half.clear();
  std::int64_t row = 0;
  for (Segment s : segments) {
    while (s.count > 0) {
      const std::int64_t here = std::min(s.count, kRunPixels - row % kRunPixels);
      segments_[static_cast<std::size_t>(row / kRunPixels)].push_back({s.line, s.x, here});
      row += here;
      s.x += here;
      s.count -= here;
    }
  }
  std::size_t count = 0;
  std::uint32_t index = 0;
  for (std::int64_t row_tap = 0; row_tap < indirection.row_taps(); ++row_tap) {
    for (std::int64_t width_tap = 0; width_tap < indirection.width_taps(); ++width_tap, ++index) {
      const Run first = make_run(indirection, memory, segments_[0], row_tap, width_tap);
      const Run second =
          segments_[1].empty() ? first : make_run(indirection, memory, segments_[1], row_tap, width_tap);
      if (skip && !first.any && !second.any) continue;
      runs_.push_back(first.pixels);
      runs_.push_back(second.pixels);
      tap_indices[count++] = index;
    }
  }
  return count;
}

void PixelRuns::continue_runs(std::int64_t step) {
  for (std::size_t i = 0; i < runs_.size(); i += 2) {
    runs_[i].step = step;
    runs_[i + 1] = {runs_[i].first + kRunPixels * step, step};
  }
}

bool PixelRuns::in_place(const Indirection& indirection, const Memory& memory, const Segment& tile,
                         std::int64_t tiles) {
  for (std::int64_t row_tap = 0; row_tap < indirection.row_taps(); ++row_tap) {
    for (std::int64_t width_tap = 0; width_tap < indirection.width_taps(); ++width_tap) {
      const std::uint8_t* p = indirection.first_pixel(memory.source, tile, row_tap, width_tap);
      if (p == nullptr) continue;
      const std::int64_t last_run = (tiles - 1) * tile.count + (tile.count - 1) / kRunPixels * kRunPixels;
      if (!fits(memory, p + indirection.input_offset(last_run), indirection.input_offset(1))) return false;
    }
  }
  return true;
}

PixelRuns::Run PixelRuns::make_run(const Indirection& indirection, const Memory& memory,
                                   const std::vector<Segment>& segments, std::int64_t row_tap,
                                   std::int64_t width_tap) {
  std::int64_t step = indirection.input_offset(1);
  if (const auto* p = contiguous(indirection, memory, segments, row_tap, width_tap);
      p != nullptr && fits(memory, p, step)) {
    return {{p, step}, true};
  }
  const std::uint8_t* pixels[igemm::kRunPixels];
  if (!indirection.fill_tap(memory.source, segments, row_tap, width_tap, pixels)) {
    return {{memory.source.zeros, 0}, false};
  }
  std::int64_t count = 0;
  for (const Segment& s : segments) count += s.count;
  if (equal_steps(pixels, count, step) && fits(memory, pixels[0], step)) return {{pixels[0], step}, true};
  std::uint8_t* const to = copies_.data() + used_;
  const std::size_t to_step = copy_step(memory.extent);
  memory.unit->gather(pixels, static_cast<std::size_t>(count), memory.bytes, to, to_step);
  used_ += igemm::kRunPixels * to_step;
  return {{to, static_cast<std::int64_t>(to_step)}, true};
}

}  // namespace qconv::engines
