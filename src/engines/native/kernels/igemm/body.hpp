#pragma once

#include <cstring>

#include "engines/native/kernels/finish_block.hpp"
#include "engines/native/kernels/igemm/igemm.hpp"

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

template <class V, int Rows, int Vectors>
struct Tile {
  typename V::Accumulator sums[Rows][Vectors];

  // One dot product of 4 channels for every row and column.
  template <bool Signed>
  void step(const std::uint32_t (&words)[Rows], const std::int8_t* weights) noexcept {
    typename V::Weights w[Vectors];
    for (int v = 0; v < Vectors; ++v) w[v] = V::load_weights(weights + v * V::kLanes * 4);
    for (int r = 0; r < Rows; ++r) {
      // Signed bytes become unsigned by adding 128; the input zero point in `initial` counts the same 128.
      const auto a = V::broadcast(Signed ? words[r] ^ 0x80808080U : words[r]);
      for (int v = 0; v < Vectors; ++v) sums[r][v] = V::dot(sums[r][v], a, w[v]);
    }
  }
};

// Blocks narrower than four vectors: vector by vector.
template <class V, int Rows, int Vectors>
inline void finish_narrow(const Args& args, Tile<V, Rows, Vectors>& tile) noexcept {
  const Epilogue& e = args.epilogue;
  for (int v = 0; v < Vectors; ++v) {
    const std::size_t first = static_cast<std::size_t>(v) * V::kLanes;
    const std::size_t count = args.columns - first < V::kLanes ? args.columns - first : V::kLanes;
    const auto bias = V::load_floats(e.bias + first);
    const auto multiplier = V::load_floats(e.multiplier + first);
    for (int r = 0; r < Rows; ++r) {
      auto sum = tile.sums[r][v];
      if (e.weight_zero_points != nullptr) {
        sum = V::subtract_product(sum, e.weight_zero_points + first, args.row_sums[r]);
      }
      auto value = V::scale(sum, bias, e.bias_scale, multiplier);
      const std::int64_t at = args.output_offsets[r] + static_cast<std::int64_t>(first);
      if (args.addend != nullptr) {
        value = V::add_bytes(value, args.addend + at, count, e.addend_flip, e.addend_zero_point,
                             e.addend_multiplier);
      }
      V::store_bytes(args.output + at, count, V::round(V::clamp(value, e.lo, e.hi)), e.zero_point);
    }
  }
}

// Blocks of four vectors: row by row, each stored at once.
template <class V, bool Add, int Rows>
inline void finish_wide(const Args& args, Tile<V, Rows, 4>& tile) noexcept {
  const Epilogue& e = args.epilogue;
  if (e.weight_zero_points != nullptr) {
    for (int r = 0; r < Rows; ++r) {
      for (std::size_t v = 0; v < 4; ++v) {
        tile.sums[r][v] =
            V::subtract_product(tile.sums[r][v], e.weight_zero_points + v * V::kLanes, args.row_sums[r]);
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    const std::int64_t at = args.output_offsets[r];
    finish_block<V, Add>(e, tile.sums[r], args.columns, args.addend + (Add ? at : 0), args.output + at);
  }
}

template <class V, int Rows, int Vectors>
inline void finish(const Args& args, Tile<V, Rows, Vectors>& tile) noexcept {
  if constexpr (Vectors < 4) {
    finish_narrow<V, Rows, Vectors>(args, tile);
  } else {
    args.addend == nullptr ? finish_wide<V, false, Rows>(args, tile) : finish_wide<V, true, Rows>(args, tile);
  }
}

template <class V, int MR, int Rows, int Vectors, bool Signed>
void run_tile(const Args& args) noexcept {
  Tile<V, Rows, Vectors> tile;
  for (int v = 0; v < Vectors; ++v) {
    const auto initial = V::load_sums(args.epilogue.initial + v * V::kLanes);
    for (int r = 0; r < Rows; ++r) tile.sums[r][v] = initial;
  }
  constexpr std::size_t kBlock = static_cast<std::size_t>(Vectors) * V::kLanes * kStep;
  const std::int8_t* weights = args.weights;
  const std::uint8_t* const* pixels = args.pixels;
  for (std::size_t tap = 0; tap < args.taps; ++tap, pixels += MR) {
    const std::uint8_t* p[Rows];
    std::uint32_t words[Rows];
    for (int r = 0; r < Rows; ++r) p[r] = pixels[r] + args.channel_offset;
    std::size_t left = args.channels;
    for (; left >= kStep; left -= kStep, weights += kBlock) {
      for (int r = 0; r < Rows; ++r) {
        words[r] = load_word(p[r]);
        p[r] += kStep;
      }
      tile.template step<Signed>(words, weights);
    }
    if (left > 0) {
      for (int r = 0; r < Rows; ++r) words[r] = load_tail(p[r], left);
      tile.template step<Signed>(words, weights);
      weights += kBlock;
    }
  }
  finish<V, Rows, Vectors>(args, tile);
}

template <class V, int MR, int Rows, int Vectors, bool Signed>
void pick_vectors(const Args& args) noexcept {
  if constexpr (Vectors > 1) {
    if (args.columns <= (Vectors - 1) * V::kLanes)
      return pick_vectors<V, MR, Rows, Vectors - 1, Signed>(args);
  }
  run_tile<V, MR, Rows, Vectors, Signed>(args);
}

// The tile of exactly args.rows rows and just enough vectors, out of the MR x Vectors that the registers
// hold.
template <class V, int MR, int Rows, int Vectors, bool Signed>
void pick_rows(const Args& args) noexcept {
  if constexpr (Rows > 1) {
    if (args.rows < Rows) return pick_rows<V, MR, Rows - 1, Vectors, Signed>(args);
  }
  pick_vectors<V, MR, Rows, Vectors, Signed>(args);
}

template <class V, int MR, int Vectors, bool Signed>
void run(const Args& args) noexcept {
  pick_rows<V, MR, MR, Vectors, Signed>(args);
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
