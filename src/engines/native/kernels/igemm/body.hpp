#pragma once

#include <cstring>

#include "engines/native/kernels/tile.hpp"

/// The one body of every indirect GEMM kernel, over the vector type V of an instruction set
/// (engines/native/simd). Internal linkage throughout: each instruction set's translation unit keeps its own
/// copy.
namespace qconv::engines::igemm {
namespace {

// `count` bytes, 1 to 3, as the low bytes of a word; the packed weights are zero for the others.
inline std::uint32_t load_tail(const std::uint8_t* p, std::size_t count) noexcept {
  std::uint32_t word = p[0];
  if (count > 1) word |= static_cast<std::uint32_t>(p[1]) << 8;
  if (count > 2) word |= static_cast<std::uint32_t>(p[2]) << 16;
  return word;
}

inline std::uint32_t load_word(const std::uint8_t* p) noexcept {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// One dot product of 4 channels for every row and column; `word(row)` are the row's 4 bytes.
template <class V, bool Signed, int Rows, int Vectors, class Word>
[[gnu::always_inline]] inline void step(Tile<V, Rows, Vectors>& tile, const std::int8_t* weights,
                                        const Word& word) noexcept {
  typename V::Weights w[Vectors];
  for (int v = 0; v < Vectors; ++v) w[v] = V::load_weights(weights + v * V::kLanes * kStep);
  for (int r = 0; r < Rows; ++r) {
    const auto a = V::template broadcast<Signed>(word(r));
    for (int v = 0; v < Vectors; ++v) tile.sums[r][v] = V::dot(tile.sums[r][v], a, w[v]);
  }
}

template <class V, int Rows, int Vectors, bool Signed>
void run_tile(const Args& args) noexcept {
  Tile<V, Rows, Vectors> tile(args.epilogue.initial);
  constexpr std::size_t kStepBytes = static_cast<std::size_t>(Vectors) * V::kLanes * kStep;
  constexpr std::size_t kUnroll = 4;
  const std::size_t whole = args.channels / kStep * kStep;
  const std::size_t unrolled = args.channels / (kStep * kUnroll) * (kStep * kUnroll);
  const std::uint8_t* const* pixels = args.pixels;
  for (std::size_t tap = 0; tap < args.taps; ++tap, pixels += Rows) {
    const std::uint8_t* p[Rows];
    for (int r = 0; r < Rows; ++r) p[r] = pixels[r] + args.channel_offset;
    const std::int8_t* weights = args.weights + args.tap_indices[tap] * args.tap_bytes;
    std::size_t c = 0;
    const auto word = [&](int r) { return load_word(p[r] + c); };
    while (c < unrolled) {
      for (std::size_t u = 0; u < kUnroll; ++u, c += kStep, weights += kStepBytes) step<V, Signed>(tile, weights, word);
    }
    for (; c < whole; c += kStep, weights += kStepBytes) step<V, Signed>(tile, weights, word);
    if (c == args.channels) continue;
    if (args.channels > kStep) {
      c = args.channels - kStep;
      step<V, Signed>(tile, weights, word);
    } else {
      step<V, Signed>(tile, weights, [&](int r) { return load_tail(p[r], args.channels); });
    }
  }
  finish<V, Rows, Vectors>(args, tile);
}

// The tile of exactly args.rows rows.
template <class V, int Rows, int Vectors, bool Signed>
void run(const Args& args) noexcept {
  if constexpr (Rows > 1) {
    if (args.rows < Rows) return run<V, Rows - 1, Vectors, Signed>(args);
  }
  run_tile<V, Rows, Vectors, Signed>(args);
}

}  // namespace
}  // namespace qconv::engines::igemm

/// Defines the two functions of one row of kernels.inc: unsigned and signed input.
#define QCONV_DEFINE_IGEMM(isa, V, rows, columns, vectors)                    \
  namespace qconv::engines::igemm {                                           \
  static_assert((columns) == (vectors)*V::kLanes);                            \
  void qu8qs8_igemm_##rows##x##columns##c4_##isa(const Args& args) noexcept { \
    run<V, rows, vectors, false>(args);                                       \
  }                                                                           \
  void qs8qs8_igemm_##rows##x##columns##c4_##isa(const Args& args) noexcept { \
    run<V, rows, vectors, true>(args);                                        \
  }                                                                           \
  }
