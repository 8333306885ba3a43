#pragma once

#include "engines/native/kernels/igemm/igemm.hpp"
#include "engines/native/kernels/signed_bytes.hpp"
#include "engines/native/kernels/unrolled.hpp"

/// A tile of sums in registers and what becomes of it, over the vector type V of an instruction set
/// (engines/native/simd): shared by the families with the contract of igemm.hpp. Internal linkage throughout.
namespace qconv::engines {
namespace {

template <class V, int Rows, int Vectors>
struct Tile {
  typename V::Accumulator sums[Rows][Vectors];

  [[gnu::always_inline]] explicit Tile(const std::int32_t* initial) noexcept {
    unrolled<Vectors>(QCONV_EACH(v) {
      const auto start = V::load_sums(initial + v * V::kLanes);
      unrolled<Rows>(QCONV_EACH(r) { sums[r][v] = start; });
    });
  }
};

// One row: scale, add, limit, round and store, whatever the epilogue asks for.
template <class V, int Vectors>
inline void finish_row(const igemm::Args& args, std::int64_t shift, std::size_t row,
                       const std::int32_t* sums) noexcept {
  const Epilogue& e = args.epilogue;
  const std::int64_t at = args.output_offsets[row] + shift;
  typename V::Accumulator addend[Vectors];
  if (args.addend != nullptr)
    V::template load_block<Vectors>(args.addend + at, args.columns, e.addend_flip, addend);
  typename V::Accumulator rounded[Vectors];
  for (int v = 0; v < Vectors; ++v) {
    const std::size_t first = static_cast<std::size_t>(v) * V::kLanes;
    auto sum = V::load_sums(sums + first);
    if (e.weight_zero_points != nullptr) {
      sum = V::subtract_product(sum, e.weight_zero_points + first, args.row_sums[row]);
    }
    auto value =
        V::scale(sum, V::load_floats(e.bias + first), e.bias_scale, V::load_floats(e.multiplier + first));
    if (args.addend != nullptr) {
      value = V::add_integers(value, addend[v], e.addend_zero_point, e.addend_multiplier);
    }
    rounded[v] = V::round(V::clamp(value, e.lo, e.hi));
  }
  V::template store_block<Vectors>(args.output + at, rounded,
                                   V::template load_range<Vectors>(e.bytes, args.columns));
}

// Through memory, so that the many tiles share one copy of the general code.
template <class V, int Vectors>
[[gnu::noinline]] void finish_from_memory(const igemm::Args& args, std::int64_t shift,
                                          const std::int32_t* sums) noexcept {
  for (std::size_t r = 0; r < args.rows; ++r) {
    finish_row<V, Vectors>(args, shift, r, sums + r * static_cast<std::size_t>(Vectors) * V::kLanes);
  }
}

// The same where something is added and the limits may wait for the bytes.
template <class V, int Vectors>
[[gnu::noinline]] void add_from_memory(const igemm::Args& args, std::int64_t shift,
                                       const std::int32_t* sums) noexcept {
  // Copies, since the bytes stored could be anything's.
  const Epilogue e = args.epilogue;
  const auto limits = V::template load_range<Vectors>(e.bytes, args.columns);
  const std::size_t columns = args.columns;
  const std::int64_t* const offsets = args.output_offsets;
  const std::uint8_t* const addend = args.addend + shift;
  const std::uint8_t* const next = addend + args.output_step;
  std::uint8_t* const output = args.output + shift;
  for (std::size_t r = 0; r < args.rows; ++r, sums += static_cast<std::size_t>(Vectors) * V::kLanes) {
    const std::int64_t at = offsets[r];
    // It comes from far away: what the next tile adds arrives while that multiplies.
    __builtin_prefetch(next + at);
    typename V::Accumulator integers[Vectors];
    typename V::Accumulator rounded[Vectors];
    V::template load_block<Vectors>(addend + at, columns, e.addend_flip, integers);
    unrolled<Vectors>(QCONV_EACH(v) {
      const auto value = V::scale(V::load_sums(sums + v * V::kLanes), V::load_floats(e.bias + v * V::kLanes),
                                  e.bias_scale, V::load_floats(e.multiplier + v * V::kLanes));
      rounded[v] = V::round(V::add_integers(value, integers[v], e.addend_zero_point, e.addend_multiplier));
    });
    V::template store_block<Vectors>(output + at, rounded, limits);
  }
}

// As many rows at once as make four vectors.
template <class V, int Vectors>
constexpr int kRowsAtOnce = V::kStoresRows&& Vectors < 3 ? 4 / Vectors : 1;

// Sums in memory, [rows][Vectors * lanes], as tile registers leave them there.
template <class V, int Vectors>
[[gnu::noinline]] void finish_stored(const igemm::Args& args, std::size_t tile_index,
                                     const std::int32_t* sums) noexcept {
  const std::int64_t shift = static_cast<std::int64_t>(tile_index) * args.output_step;
  const Epilogue& e = args.epilogue;
  if (!V::kRoundsAll || !e.bounded || e.weight_zero_points != nullptr) {
    return finish_from_memory<V, Vectors>(args, shift, sums);
  }
  if (args.addend != nullptr) return add_from_memory<V, Vectors>(args, shift, sums);
  constexpr int kRows = kRowsAtOnce<V, Vectors>;
  const auto limits = V::template load_range<Vectors>(e.bytes, args.columns);
  decltype(V::load_floats(nullptr)) bias[Vectors];
  decltype(V::load_floats(nullptr)) multiplier[Vectors];
  unrolled<Vectors>(QCONV_EACH(v) {
    bias[v] = V::load_floats(e.bias + v * V::kLanes);
    multiplier[v] = V::load_floats(e.multiplier + v * V::kLanes);
  });
  const float bias_scale = e.bias_scale;
  const std::size_t rows = args.rows;
  const std::int64_t* const offsets = args.output_offsets;
  std::uint8_t* const output = args.output + shift;
  const auto rounded = [&](int v, const std::int32_t* from) __attribute__((always_inline)) {
    return V::round(V::scale(V::load_sums(from), bias[v], bias_scale, multiplier[v]));
  };
  std::size_t r = 0;
  if constexpr (kRows > 1) {
    for (; r + kRows <= rows; r += kRows, sums += kRows * Vectors * V::kLanes) {
      typename V::Accumulator values[kRows * Vectors];
      unrolled<kRows * Vectors>(QCONV_EACH(i) { values[i] = rounded(i % Vectors, sums + i * V::kLanes); });
      V::template store_rows<Vectors>(output, offsets + r, values, limits);
    }
  }
  for (; r < rows; ++r, sums += Vectors * V::kLanes) {
    typename V::Accumulator values[Vectors];
    unrolled<Vectors>(QCONV_EACH(v) { values[v] = rounded(v, sums + v * V::kLanes); });
    V::template store_block<Vectors>(output + offsets[r], values, limits);
  }
}

template <class V, int Rows, int Vectors>
[[gnu::always_inline]] inline void finish(const igemm::Args& args, std::size_t tile_index,
                                          const Tile<V, Rows, Vectors>& tile) noexcept {
  const Epilogue& e = args.epilogue;
  const std::int64_t shift = static_cast<std::int64_t>(tile_index) * args.output_step;
  const bool limits_wait = V::kRoundsAll && e.bounded && e.weight_zero_points == nullptr;
  if (limits_wait && args.addend == nullptr) {
    // Copies, since the bytes stored could be anything's.
    const auto limits = V::template load_range<Vectors>(e.bytes, args.columns);
    const float* const bias = e.bias;
    const float* const multiplier = e.multiplier;
    const float bias_scale = e.bias_scale;
    const std::int64_t* const offsets = args.output_offsets;
    std::uint8_t* const output = args.output + shift;
    const auto rounded = QCONV_EACH(i) {
      constexpr int r = decltype(i)() / Vectors;
      constexpr int v = decltype(i)() % Vectors;
      return V::round(V::scale(tile.sums[r][v], V::load_floats(bias + v * V::kLanes), bias_scale,
                               V::load_floats(multiplier + v * V::kLanes)));
    };
    constexpr int kRows = kRowsAtOnce<V, Vectors>;  // the rest one by one
    unrolled<Rows / kRows>(QCONV_EACH(n) {
      typename V::Accumulator values[kRows * Vectors];
      unrolled<kRows * Vectors>(
          QCONV_EACH(i) { values[i] = rounded(Index<decltype(n)() * kRows * Vectors + decltype(i)()>()); });
      if constexpr (kRows == 1) {
        V::template store_block<Vectors>(output + offsets[n], values, limits);
      } else {
        V::template store_rows<Vectors>(output, offsets + n * kRows, values, limits);
      }
    });
    unrolled<Rows % kRows>(QCONV_EACH(n) {
      typename V::Accumulator values[Vectors];
      constexpr int kRow = Rows - Rows % kRows + decltype(n)();
      unrolled<Vectors>(QCONV_EACH(i) { values[i] = rounded(Index<kRow * Vectors + decltype(i)()>()); });
      V::template store_block<Vectors>(output + offsets[kRow], values, limits);
    });
    return;
  }
  alignas(64) std::int32_t sums[Rows * Vectors * V::kLanes];
  unrolled<Rows>(QCONV_EACH(r) {
    unrolled<Vectors>(QCONV_EACH(v) {
      V::store_sums(sums + static_cast<std::size_t>(r * Vectors + v) * V::kLanes, tile.sums[r][v]);
    });
  });
  limits_wait ? add_from_memory<V, Vectors>(args, shift, sums)
              : finish_from_memory<V, Vectors>(args, shift, sums);
}

}  // namespace
}  // namespace qconv::engines
