#include "engines/native/tiling.hpp"

#include <algorithm>

namespace qconv::engines {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Into how many pieces, none larger than `most`, so many lines are best cut: into few, all of nearly one
// size.
std::int64_t even_pieces(std::int64_t lines, std::int64_t most) {
  const std::int64_t least = ceil_div(lines, most);
  std::int64_t best = least;
  for (std::int64_t pieces = least; pieces <= least + least / 2; ++pieces) {
    if (ceil_div(lines, pieces) * pieces < ceil_div(lines, best) * best) best = pieces;
  }
  return best;
}

}  // namespace

Chunks::Chunks(const Indirection& part, std::int64_t rows)
    : planes_(part.planes()), lines_(part.lines()), width_(part.width()) {
  if (width_ >= 2 * rows) {
    line_chunks_ = lines_;
    width_chunks_ = ceil_div(width_, rows);
  } else if (lines_ > 0) {
    line_chunks_ = even_pieces(lines_, std::max<std::int64_t>(rows / std::max<std::int64_t>(width_, 1), 1));
  } else {
    line_chunks_ = 0;
  }
}

Chunk Chunks::chunk(std::int64_t index) const noexcept {
  const std::int64_t w = index % width_chunks_;
  const std::int64_t l = index / width_chunks_ % line_chunks_;
  const std::int64_t first_line = lines_ * l / line_chunks_;
  const std::int64_t first_x = width_ * w / width_chunks_;
  return {index / width_chunks_ / line_chunks_, first_line, lines_ * (l + 1) / line_chunks_ - first_line,
          first_x, width_ * (w + 1) / width_chunks_ - first_x};
}

}  // namespace qconv::engines
