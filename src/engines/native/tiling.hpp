#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engines/native/indirection.hpp"

namespace qconv::engines {

/// A rectangle of the outputs of a part: what one task computes, for some of the output channels. Either
/// whole lines of a plane or a stretch of a single line.
struct Chunk {
  std::int64_t plane;
  std::int64_t first_line;
  std::int64_t lines;
  std::int64_t first_x;
  std::int64_t width;
};

/// How the outputs of a part are cut into chunks of about `rows` outputs, all nearly equal.
class Chunks {
 public:
  Chunks() = default;
  Chunks(const Indirection& part, std::int64_t rows);

  std::int64_t count() const noexcept { return planes_ * line_chunks_ * width_chunks_; }
  Chunk chunk(std::int64_t index) const noexcept;
  std::int64_t most_lines() const noexcept { return (lines_ + line_chunks_ - 1) / line_chunks_; }
  std::int64_t most_width() const noexcept { return (width_ + width_chunks_ - 1) / width_chunks_; }

 private:
  std::int64_t planes_ = 0;
  std::int64_t lines_ = 1;
  std::int64_t width_ = 1;
  std::int64_t line_chunks_ = 1;
  std::int64_t width_chunks_ = 1;
};

/// Lines of so many tiles are cut one by one.
inline constexpr std::int64_t kLongLine = 3;

/// Cuts a chunk into tiles of at most `most` outputs, nearly equal in size: whole multiples of `unit` but for
/// the last, `most` as well. Long lines are cut one by one: line(segment, tiles) is called for
/// neighbouring tiles of as many outputs as the segment, the first of them. Tiles of short lines run on:
/// run(segments, rows) is called for each. Lines and positions count from the chunk's first.
template <class Line, class Run>
void for_each_tile(const Chunk& chunk, std::int64_t most, std::int64_t unit, std::vector<Segment>& segments,
                   const Line& line, const Run& run) {
  if (chunk.width >= kLongLine * most || chunk.lines == 1) {
    const std::int64_t tiles = (chunk.width + most - 1) / most;
    const std::int64_t units = (chunk.width + unit - 1) / unit;
    const std::int64_t rows = units / tiles * unit;
    const std::int64_t larger = units % tiles;  // so many have a unit more
    const std::int64_t short_by = units * unit - chunk.width;
    for (std::int64_t l = 0; l < chunk.lines; ++l) {
      const std::int64_t smaller = tiles - larger - (short_by > 0 ? 1 : 0);
      if (larger > 0) line(Segment{l, 0, rows + unit}, larger);
      if (smaller > 0) line(Segment{l, larger * (rows + unit), rows}, smaller);
      if (short_by > 0) line(Segment{l, chunk.width + short_by - rows, rows - short_by}, 1);
    }
    return;
  }
  const std::int64_t all = chunk.width * chunk.lines;
  const std::int64_t tiles = (all + most - 1) / most;
  const std::int64_t units = (all + unit - 1) / unit;
  Segment at{0, 0, 0};
  for (std::int64_t t = 0, begin = 0; t < tiles; ++t) {
    const std::int64_t rows = std::min((units / tiles + (t < units % tiles ? 1 : 0)) * unit, all - begin);
    begin += rows;
    segments.clear();
    for (std::int64_t left = rows; left > 0;) {
      at.count = std::min(chunk.width - at.x, left);
      segments.push_back(at);
      left -= at.count;
      at.x += at.count;
      if (at.x == chunk.width) at = {at.line + 1, 0, 0};
    }
    run(segments, static_cast<std::size_t>(rows));
  }
}

}  // namespace qconv::engines
