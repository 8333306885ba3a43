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

/// Calls f(segments, rows) for every tile of at most `most` outputs of a chunk, tiles nearly equal in size.
/// Tiles keep to one line where lines are long, since a tap above or below the image can then be left out.
/// The segments' lines and positions count from the chunk's first.
template <class F>
void for_each_tile(const Chunk& chunk, std::int64_t most, std::vector<Segment>& segments, const F& f) {
  const bool by_line = chunk.width >= 3 * most || chunk.lines == 1;
  const std::int64_t runs = by_line ? chunk.lines : 1;
  const std::int64_t run = by_line ? chunk.width : chunk.width * chunk.lines;
  const std::int64_t tiles = (run + most - 1) / most;
  std::int64_t line = 0;
  std::int64_t x = 0;
  for (std::int64_t r = 0; r < runs; ++r) {
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t rows = run / tiles + (t < run % tiles ? 1 : 0);
      segments.clear();
      for (std::int64_t left = rows; left > 0;) {
        const std::int64_t count = std::min(chunk.width - x, left);
        segments.push_back({line, x, count});
        left -= count;
        x += count;
        if (x < chunk.width) continue;
        x = 0;
        ++line;
      }
      f(segments, static_cast<std::size_t>(rows));
    }
  }
}

}  // namespace qconv::engines
