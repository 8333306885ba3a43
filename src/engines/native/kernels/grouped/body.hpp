#pragma once

#include "engines/native/kernels/tile.hpp"

/// Convolution in many groups of a few channels, as many out as in: 1, 2, 4, 8 or 16. A block is four vectors
/// of output channels in lane order (lane_order.hpp): the groups of the four lanes in a 128-bit part read
/// bytes of the same 16 input channels, so that one shuffle within the parts brings every lane the 4 bytes of
/// its own group. `Args::spread` holds the shuffles: for each step and vector the positions, 0 to 15, of 16
/// bytes, or 0x80 for a zero. Internal linkage throughout.
namespace qconv::engines::grouped {
namespace {

using igemm::Args;

// `Shared` neighbouring vectors read the same bytes: 4 of groups of 16 channels, 2 of groups of 8.
template <class V, int Rows, int Shared, bool Signed>
void run_tiles(const Args& args) noexcept {
  constexpr int kVectors = 4;
  constexpr std::size_t kVectorBytes = V::kLanes * igemm::kStep;
  std::int64_t offset = args.channel_offset;
  for (std::size_t t = 0; t < args.tiles; ++t, offset += args.input_step) {
    Tile<V, Rows, kVectors> tile(args.epilogue.initial);
    const std::uint8_t* const* pixels = args.pixels;
    for (std::size_t tap = 0; tap < args.taps; ++tap, pixels += Rows) {
      typename V::Bytes bytes[Rows];
      unrolled<Rows>(QCONV_EACH(r) {
        bytes[r] = V::template load_pixel<Signed != V::kSignedBytes>(pixels[r] + offset, args.columns);
      });
      const std::int8_t* weights = args.weights + args.tap_indices[tap] * args.tap_bytes;
      const std::uint8_t* spread = args.spread;
      for (std::size_t s = 0; s < args.steps;
           ++s, spread += kVectors * 16, weights += kVectors * kVectorBytes) {
        unrolled<kVectors / Shared>(QCONV_EACH(n) {
          constexpr int kFirst = decltype(n)() * Shared;
          const auto positions = V::load_positions(spread + kFirst * 16);
          typename V::Weights w[Shared];
          unrolled<Shared>(QCONV_EACH(k) { w[k] = V::load_weights(weights + (kFirst + k) * kVectorBytes); });
          unrolled<Rows>(QCONV_EACH(r) {
            const auto a = V::spread(bytes[r], positions);
            unrolled<Shared>(
                QCONV_EACH(k) { tile.sums[r][kFirst + k] = V::dot(tile.sums[r][kFirst + k], a, w[k]); });
          });
        });
      }
    }
    finish<V, Rows, kVectors>(args, t, tile);
  }
}

// Tiles of exactly args.rows rows.
template <class V, int Rows, bool Signed>
void run(const Args& args) noexcept {
  if constexpr (Rows > 1) {
    if (args.rows < Rows) return run<V, Rows - 1, Signed>(args);
  }
  if (args.steps == 4) return run_tiles<V, Rows, 4, Signed>(args);
  if (args.steps == 2) return run_tiles<V, Rows, 2, Signed>(args);
  run_tiles<V, Rows, 1, Signed>(args);
}

}  // namespace
}  // namespace qconv::engines::grouped

/// Defines the two functions of one row of kernels.inc: unsigned and signed input.
#define QCONV_DEFINE_GROUPED(isa, V, rows, columns)                             \
  namespace qconv::engines::igemm {                                             \
  static_assert((columns) == 4 * V::kLanes);                                    \
  static_assert(V::kSignedBytes == signed_bytes::isa);                          \
  void qu8qs8_grouped_##rows##x##columns##c4_##isa(const Args& args) noexcept { \
    grouped::run<V, rows, false>(args);                                         \
  }                                                                             \
  void qs8qs8_grouped_##rows##x##columns##c4_##isa(const Args& args) noexcept { \
    grouped::run<V, rows, true>(args);                                          \
  }                                                                             \
  }
