#pragma once

#include "engines/native/kernels/unrolled.hpp"
#include "engines/native/kernels/winograd/winograd.hpp"

/// The matrix products of every Winograd kernel, over the vector type V (engines/native/simd/*_int16.hpp).
namespace qconv::engines::winograd {
namespace {

// Weights to fetch while others are multiplied: two lines for each pair, `step` elements further each time.
struct Ahead {
  const std::int16_t* weights;
  std::size_t step;  // 0 where there is nothing to fetch
};

template <class V, int Rows, int Vectors>
void multiply_rows(const MultiplyArgs& args, const std::int16_t* points, const std::int16_t* weights,
                   Ahead ahead, std::int32_t* sums) noexcept {
  constexpr std::size_t kColumns = Vectors * V::kLanes;
  typename V::Accumulator tile[Rows][Vectors];
  unrolled<Rows>(QCONV_EACH(r) { unrolled<Vectors>(QCONV_EACH(v) { tile[r][v] = V::zero_sums(); }); });
  for (std::size_t tap = 0; tap < args.taps; ++tap, points += args.tap_stride) {
    for (std::size_t pair = 0; pair < args.pairs; ++pair, weights += 2 * kColumns) {
      unrolled<2>(QCONV_EACH(i) { __builtin_prefetch(ahead.weights + 2 * V::kLanes * i, 0, 2); });
      ahead.weights += ahead.step;
      typename V::Pairs w[Vectors];
      unrolled<Vectors>(QCONV_EACH(v) { w[v] = V::load_pairs(weights + 2 * V::kLanes * v); });
      unrolled<Rows>(QCONV_EACH(r) {
        const auto a = V::broadcast_pair(points + r * args.tile_stride + 2 * pair);
        unrolled<Vectors>(QCONV_EACH(v) { tile[r][v] = V::dot_pairs(tile[r][v], a, w[v]); });
      });
    }
  }
  unrolled<Rows>(QCONV_EACH(r) {
    unrolled<Vectors>(
        QCONV_EACH(v) { V::store_sums(sums + r * kPoints * kColumns + v * V::kLanes, tile[r][v]); });
  });
}

template <class V, int Rows, int Vectors>
void pick_rows(std::size_t rows, const MultiplyArgs& args, const std::int16_t* points,
               const std::int16_t* weights, Ahead ahead, std::int32_t* sums) noexcept {
  if constexpr (Rows > 1) {
    if (rows < Rows) return pick_rows<V, Rows - 1, Vectors>(rows, args, points, weights, ahead, sums);
  }
  multiply_rows<V, Rows, Vectors>(args, points, weights, ahead, sums);
}

// Narrower blocks have more rows, so that the registers stay full.
constexpr int rows_of(int registers, int vectors) noexcept {
  return registers / vectors < 12 ? registers / vectors : 12;
}

template <class V, int Registers, int Vectors>
void multiply(const MultiplyArgs& args) noexcept {
  if constexpr (Vectors > 1) {
    if (args.vectors < Vectors) return multiply<V, Registers, Vectors - 1>(args);
  }
  constexpr int kRows = rows_of(Registers, Vectors);
  // Row blocks of equal size, but for one: a last block of few rows would wait for its own sums.
  const std::size_t blocks = (args.tiles + kRows - 1) / kRows;
  for (std::size_t point = 0; point < kPoints; ++point) {
    const std::int16_t* points = args.points + point * args.point_stride;
    const std::int16_t* weights = args.weights + point * args.weights_stride;
    std::int32_t* sums = args.sums + point * Vectors * V::kLanes;
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t first = b * args.tiles / blocks;
      // The first row blocks fetch the weights of the next point, which may come from memory.
      Ahead ahead{weights, 0};
      if (2 * b < Vectors)
        ahead = {weights + args.weights_stride + 4 * b * V::kLanes, 2 * Vectors * V::kLanes};
      pick_rows<V, kRows, Vectors>((b + 1) * args.tiles / blocks - first, args,
                                   points + first * args.tile_stride, weights, ahead,
                                   sums + first * kPoints * Vectors * V::kLanes);
    }
  }
}

}  // namespace
}  // namespace qconv::engines::winograd
