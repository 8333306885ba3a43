#pragma once

#include <cstring>

#include "engines/native/kernels/tile.hpp"

/// The one body of every indirect GEMM kernel, over the vector type V of an instruction set
/// (engines/native/simd). Internal linkage throughout: each instruction set's translation unit keeps its own
/// copy.
namespace qconv::engines::igemm {
namespace {

inline std::uint32_t load_word(const std::uint8_t* p) noexcept {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// One dot product of 4 bytes for every row and column; `word(row)` are the row's.
template <class V, bool Signed, int Rows, int Vectors, class Word>
[[gnu::always_inline]] inline void step(Tile<V, Rows, Vectors>& tile, const std::int8_t* weights,
                                        const Word& word) noexcept {
  typename V::Weights w[Vectors];
  unrolled<Vectors>(QCONV_EACH(v) { w[v] = V::load_weights(weights + v * V::kLanes * kStep); });
  unrolled<Rows>(QCONV_EACH(r) {
    const auto a = V::template broadcast<Signed != V::kSignedBytes>(word(r));
    unrolled<Vectors>(QCONV_EACH(v) { tile.sums[r][v] = V::dot(tile.sums[r][v], a, w[v]); });
  });
}

// V::kSteps of them, where a dot product can take its 4 bytes from any lane of a vector.
template <class V, bool Signed, int Rows, int Vectors>
[[gnu::always_inline]] inline void long_step(Tile<V, Rows, Vectors>& tile, const std::int8_t* weights,
                                             const std::uint8_t* const (&p)[Rows], std::size_t at) noexcept {
  typename V::Bytes a[Rows];
  unrolled<Rows>(QCONV_EACH(r) { a[r] = V::template load_steps<Signed != V::kSignedBytes>(p[r] + at); });
  unrolled<V::kSteps * Vectors>(QCONV_EACH(i) {
    constexpr int kAt = decltype(i)() / Vectors;
    constexpr int v = decltype(i)() % Vectors;
    const auto w = V::load_weights(weights + i * V::kLanes * kStep);
    unrolled<Rows>(QCONV_EACH(r) { tile.sums[r][v] = V::template dot_step<kAt>(tile.sums[r][v], a[r], w); });
  });
}

// Which weights a tile fetches: none, where the first-level cache has them; those of its own later steps; or
// a line of other weights for each step besides.
enum class Fetch { none, own, ahead };

// All products of a tile.
template <class V, bool Signed, Fetch kFetch, int Rows, int Vectors>
[[gnu::always_inline]] inline void multiply(Tile<V, Rows, Vectors>& tile, const Args& args,
                                            std::int64_t offset,
                                            [[maybe_unused]] const std::int8_t*& ahead) noexcept {
  constexpr std::size_t kStepBytes = static_cast<std::size_t>(Vectors) * V::kLanes * kStep;
  // A tile streams its weights from the second-level cache; in so many steps they arrive.
  constexpr std::size_t kAhead = 8;
  constexpr std::size_t kLineBytes = V::kLanes * kStep;
  const std::size_t last = args.channels > kStep ? args.channels - kStep : 0;
  const std::uint8_t* const* pixels = args.pixels;
  for (std::size_t tap = 0; tap < args.taps; ++tap, pixels += Rows) {
    const std::uint8_t* p[Rows];
    unrolled<Rows>(QCONV_EACH(r) { p[r] = pixels[r] + offset; });
    const std::int8_t* weights = args.weights + args.tap_indices[tap] * args.tap_bytes;
    std::size_t c = 0;
    if constexpr (V::kSteps > 1) {
      constexpr std::size_t kBytes = V::kSteps * kStep;
      for (; c + kBytes <= args.channels; c += kBytes, weights += V::kSteps * kStepBytes) {
        if constexpr (kFetch != Fetch::none) {
          unrolled<Vectors>(QCONV_EACH(v) {
            __builtin_prefetch(weights + kAhead * kStepBytes + v * V::kSteps * kLineBytes);
          });
        }
        long_step<V, Signed>(tile, weights, p, c);
      }
    }
    for (; c < args.channels; c += kStep, weights += kStepBytes) {
      const std::size_t at = c < last ? c : last;
      if constexpr (kFetch != Fetch::none) {
        unrolled<Vectors>(
            QCONV_EACH(v) { __builtin_prefetch(weights + kAhead * kStepBytes + v * kLineBytes); });
      }
      if constexpr (kFetch == Fetch::ahead) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += kLineBytes;
      }
      step<V, Signed>(
          tile, weights, QCONV_EACH(r) { return load_word(p[r] + at); });
    }
  }
}

template <class V, int Rows, int Vectors, bool Signed>
void run_tiles(const Args& args) noexcept {
  constexpr bool kFetchesAhead = Vectors == 4;  // fewer belong to layers whose weights are small
  std::int64_t offset = args.channel_offset;
  const std::int8_t* ahead = args.ahead;
  for (std::size_t t = 0; t < args.tiles; ++t, offset += args.input_step) {
    Tile<V, Rows, Vectors> tile(args.epilogue.initial);
    if (kFetchesAhead && t >= args.ahead_tile && ahead < args.ahead_end) {
      multiply<V, Signed, kFetchesAhead ? Fetch::ahead : Fetch::none>(tile, args, offset, ahead);
    } else if (args.near) {
      multiply<V, Signed, Fetch::none>(tile, args, offset, ahead);
    } else {
      multiply<V, Signed, Fetch::own>(tile, args, offset, ahead);
    }
    finish<V, Rows, Vectors>(args, t, tile);
  }
}

// Tiles of exactly args.rows rows.
template <class V, int Rows, int Vectors, bool Signed>
void run(const Args& args) noexcept {
  if constexpr (Rows > 1) {
    if (args.rows < Rows) return run<V, Rows - 1, Vectors, Signed>(args);
  }
  run_tiles<V, Rows, Vectors, Signed>(args);
}

}  // namespace
}  // namespace qconv::engines::igemm

/// Defines the two functions of one row of kernels.inc: unsigned and signed input.
#define QCONV_DEFINE_IGEMM(isa, V, rows, columns, step, vectors)                     \
  namespace qconv::engines::igemm {                                                  \
  static_assert((columns) == (vectors)*V::kLanes && (step) == V::kStepChannels);     \
  static_assert(V::kSignedBytes == signed_bytes::isa);                               \
  void qu8qs8_igemm_##rows##x##columns##c##step##_##isa(const Args& args) noexcept { \
    run<V, rows, vectors, false>(args);                                              \
  }                                                                                  \
  void qs8qs8_igemm_##rows##x##columns##c##step##_##isa(const Args& args) noexcept { \
    run<V, rows, vectors, true>(args);                                               \
  }                                                                                  \
  }
