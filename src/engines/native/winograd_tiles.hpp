#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <qconv/conv_problem.hpp>

#include "engines/native/kernels/winograd/winograd.hpp"

namespace qconv::engines {

/// The cut of one dimension, height or width, into Winograd tiles. With a dilation, outputs whose positions
/// are equal modulo it form a dimension of their own.
struct TileAxis {
  struct Tile {
    std::int64_t first;                                  ///< output position
    std::int64_t count;                                  ///< of outputs, 1 to 4, `step` apart
    std::array<std::int64_t, winograd::kPatch> sources;  ///< offsets into the input, -1 in zero padding
    bool inside;                                         ///< they are equally far apart
  };
  std::vector<Tile> tiles;
  std::int64_t step;
};

/// `stride` is that of the input along dimension `d`.
TileAxis make_tile_axis(const ConvProblem& problem, std::size_t d, std::int64_t stride);

/// What each output position in depth reads: its taps are neighbours, and the others lie in zero padding.
struct DepthTaps {
  std::int64_t first = 0;
  std::vector<std::int64_t> sources;  ///< offsets into the input
};

std::vector<DepthTaps> make_depth_taps(const ConvProblem& problem, std::int64_t stride);

}  // namespace qconv::engines
