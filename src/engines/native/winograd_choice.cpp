#include "engines/native/winograd_choice.hpp"

#include <algorithm>

#include "engines/native/winograd_tiles.hpp"
#include "support/cache_sizes.hpp"

namespace qconv::engines {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Cycles for a vector of output channels: with two input channels here, and with `channels` in the indirect
// GEMM.
struct Cycles {
  double winograd;
  double direct;
  std::int64_t channels;
};

Cycles product_cycles(Isa isa) {
  switch (isa) {
    case Isa::avx512vnni:
      return {0.54, 0.54, 4};
    case Isa::avx2:
      return {0.66, 0.6, 2};
    default:
      return {1.5, 3.6, 4};
  }
}

// Cycles that the steps take beside their products, measured on Zen 5 with AVX-512; with AVX2 they are about
// the same for vectors of half the size.
constexpr double kRunCycles = 1000;
constexpr double kTileCycles = 280;
constexpr double kInputCycles = 130;   // a vector of channels of a patch
constexpr double kOutputCycles = 165;  // a vector of channels of a tile
// What the indirect GEMM takes beside its products, for a row of outputs, for an output, and for a vector of
// its channels.
constexpr double kDirectRowCycles = 500;
constexpr double kDirectOutputCycles = 15;
constexpr double kDirectVectorCycles = 1;

// Bytes per cycle from memory, or from a cache that is shared with too many to keep much.
constexpr double kMemoryRate = 5;
// Less than this of the direct time is worth weights of eight times the size.
constexpr double kWorthMemory = 0.9;

// Cycles for transformed weights to come `times` from where they stay between two blocks of tiles, the first
// time perhaps from memory.
double weight_cycles(std::int64_t bytes, std::int64_t times, bool from_memory) {
  const CacheSizes& caches = cache_sizes();
  const double rate = bytes <= caches.second / 2 ? 40 : bytes <= caches.last / 4 ? 20 : kMemoryRate;
  const double once = static_cast<double>(bytes) / rate;
  const double first = from_memory ? static_cast<double>(bytes) / kMemoryRate : once;
  return first + static_cast<double>(times - 1) * once;
}

}  // namespace

std::int64_t winograd_block_tiles(const winograd::Kernel& kernel, const ConvGeometry& g) {
  constexpr auto kPoints = static_cast<std::int64_t>(winograd::kPoints);
  const std::int64_t columns =
      std::min<std::int64_t>(static_cast<std::int64_t>(kernel.columns), g.out_channels);
  const std::int64_t tile_bytes = kPoints * (2 * g.kernel[0] * g.in_channels + 4 * columns);
  return std::clamp<std::int64_t>(cache_sizes().second / 2 / tile_bytes, 6, 96);
}

bool winograd_is_faster(const PackedWinograd& weights, const ConvProblem& problem) {
  const ConvGeometry& g = problem.geometry;
  const winograd::Kernel& kernel = weights.kernel_row();
  if (g.in_channels < 4) return false;  // the indirect GEMM takes the taps of a kernel row together then
  const Cycles cycles = product_cycles(kernel.isa);
  const auto lanes = static_cast<std::int64_t>(kernel.lanes);
  const Spatial out = problem.output();
  const std::int64_t vectors = ceil_div(g.out_channels, lanes);
  const auto tiles = problem.batch * static_cast<std::int64_t>(make_tile_axis(problem, 1, 1).tiles.size() *
                                                               make_tile_axis(problem, 2, 1).tiles.size());
  const std::int64_t blocks = ceil_div(tiles, winograd_block_tiles(kernel, g));
  const std::int64_t pairs = ceil_div(g.in_channels, 2) * g.kernel[0];
  const std::int64_t weight_bytes =
      static_cast<std::int64_t>(winograd::kPoints) * pairs * 4 * vectors * lanes;
  const double products =
      std::max(static_cast<double>(tiles * static_cast<std::int64_t>(winograd::kPoints) * pairs * vectors) *
                   cycles.winograd,
               weight_cycles(weight_bytes, blocks, weights.from_memory()));
  const double transforms =
      static_cast<double>(tiles) *
      (kTileCycles + kInputCycles * static_cast<double>(g.kernel[0] * ceil_div(g.in_channels, 2 * lanes)) +
       kOutputCycles * static_cast<double>(vectors));
  const double steps =
      static_cast<double>(g.taps() * ceil_div(g.in_channels, cycles.channels)) * cycles.direct;
  const double output = kDirectOutputCycles + static_cast<double>(vectors) * (kDirectVectorCycles + steps);
  const double direct =
      static_cast<double>(problem.batch * out[1]) * (kDirectRowCycles + static_cast<double>(out[2]) * output);
  return kRunCycles + products + transforms < kWorthMemory * direct;
}

}  // namespace qconv::engines
