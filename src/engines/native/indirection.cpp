#include "engines/native/indirection.hpp"

#include "engines/source_index.hpp"

namespace qconv::engines {

Indirection::Indirection(const ConvProblem& problem, const SubConvolution& part) {
  const ConvGeometry& g = problem.geometry;
  const Spatial out = problem.output();
  // Bytes from one position to the next along each dimension, channels last.
  std::int64_t in_stride = g.in_channels;
  std::int64_t out_stride = g.out_channels;
  for (const std::size_t d : {2U, 1U, 0U}) {
    const Phase& phase = part[d];
    counts_[d] = phase.count(out[d]);
    taps_[d] = static_cast<std::int64_t>(phase.taps.size());
    for (std::int64_t i = 0; i < counts_[d]; ++i) {
      const std::int64_t o = phase.begin + i * phase.step;
      outputs_[d].push_back(o * out_stride);
      for (const std::int64_t k : phase.taps) {
        const std::int64_t source = source_index(g, d, o, k, problem.input[d]);
        sources_[d].push_back(source < 0 ? -1 : source * in_stride);
      }
    }
    in_stride *= problem.input[d];
    out_stride *= out[d];
  }
}

void Indirection::fill_row(const std::array<std::int64_t, 3>& at, std::int64_t tile_rows,
                           const std::uint8_t* image, const std::uint8_t* zeros,
                           const std::uint8_t** pixels) const {
  const std::int64_t* depth = sources_[0].data() + at[0] * taps_[0];
  const std::int64_t* height = sources_[1].data() + at[1] * taps_[1];
  const std::int64_t* width = sources_[2].data() + at[2] * taps_[2];
  for (std::int64_t td = 0; td < taps_[0]; ++td) {
    for (std::int64_t th = 0; th < taps_[1]; ++th) {
      const bool row_inside = depth[td] >= 0 && height[th] >= 0;
      const std::uint8_t* row = image + depth[td] + height[th];
      for (std::int64_t tw = 0; tw < taps_[2]; ++tw, pixels += tile_rows) {
        *pixels = row_inside && width[tw] >= 0 ? row + width[tw] : zeros;
      }
    }
  }
}

void Indirection::fill(std::int64_t first, std::int64_t count, std::int64_t tile_rows,
                       const std::uint8_t* image, const std::uint8_t* zeros, const std::uint8_t** pixels,
                       std::int64_t* output_offsets) const {
  const std::int64_t tap_count = taps();
  std::array<std::int64_t, 3> at{first / (counts_[1] * counts_[2]), first / counts_[2] % counts_[1],
                                 first % counts_[2]};
  for (std::int64_t r = 0; r < count; ++r) {
    fill_row(at, tile_rows, image, zeros, pixels + r / tile_rows * tile_rows * tap_count + r % tile_rows);
    output_offsets[r] = outputs_[0][static_cast<std::size_t>(at[0])] +
                        outputs_[1][static_cast<std::size_t>(at[1])] +
                        outputs_[2][static_cast<std::size_t>(at[2])];
    if (++at[2] == counts_[2]) {
      at[2] = 0;
      if (++at[1] == counts_[1]) {
        at[1] = 0;
        ++at[0];
      }
    }
  }
}

}  // namespace qconv::engines
