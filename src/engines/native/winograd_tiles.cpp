#include "engines/native/winograd_tiles.hpp"

#include <algorithm>

#include "engines/source_index.hpp"

namespace qconv::engines {

TileAxis make_tile_axis(const ConvProblem& problem, std::size_t d, std::int64_t stride) {
  const ConvGeometry& g = problem.geometry;
  constexpr auto kOutputs = static_cast<std::int64_t>(winograd::kOutputs);
  const std::int64_t size = problem.output()[d];
  TileAxis axis{{}, g.dilation[d]};
  for (std::int64_t phase = 0; phase < std::min(axis.step, size); ++phase) {
    for (std::int64_t first = phase; first < size; first += kOutputs * axis.step) {
      TileAxis::Tile tile{first, std::min(kOutputs, (size - first + axis.step - 1) / axis.step), {}, false};
      for (std::size_t i = 0; i < winograd::kPatch; ++i) {
        const auto at = static_cast<std::int64_t>(i);
        // What only outputs beyond the border would read may lie beyond what the padding mode defines.
        const bool read = at < tile.count + g.kernel[d] - 1;
        const std::int64_t source =
            read ? padded_index(g.padding_mode, first - g.padding_begin[d] + at * axis.step, problem.input[d])
                 : -1;
        tile.sources[i] = source < 0 ? -1 : source * stride;
      }
      const std::int64_t from = first - g.padding_begin[d];
      tile.inside = from >= 0 &&
                    from + static_cast<std::int64_t>(winograd::kPatch - 1) * axis.step < problem.input[d] &&
                    tile.count == kOutputs;
      axis.tiles.push_back(tile);
    }
  }
  return axis;
}

std::vector<DepthTaps> make_depth_taps(const ConvProblem& problem, std::int64_t stride) {
  std::vector<DepthTaps> outputs;
  for (std::int64_t o = 0; o < problem.output()[0]; ++o) {
    DepthTaps& taps = outputs.emplace_back();
    for (std::int64_t k = 0; k < problem.geometry.kernel[0]; ++k) {
      const std::int64_t source = source_index(problem.geometry, 0, o, k, problem.input[0]);
      if (source < 0) continue;
      if (taps.sources.empty()) taps.first = k;
      taps.sources.push_back(source * stride);
    }
  }
  return outputs;
}

}  // namespace qconv::engines
