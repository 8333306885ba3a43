#pragma once

#include <cstring>

#include "engines/native/kernels/unrolled.hpp"
#include "engines/native/kernels/winograd/multiply.hpp"
#include "engines/native/kernels/winograd/winograd.hpp"

/// The transforms of every Winograd kernel, over the vector type V (engines/native/simd/*_int16.hpp).
/// Internal linkage throughout: each instruction set's translation unit keeps its own copy.
namespace qconv::engines::winograd {
namespace {

// One dimension of the input transform:
//     4  0 -5  0  1  0
//     0 -4 -4  1  1  0
//     0  4 -4 -1  1  0
//     0 -2 -1  2  1  0
//     0  2 -1 -2  1  0
//     0  4  0 -5  0  1
template <class V>
[[gnu::always_inline]] inline void to_points(const typename V::Shorts (&d)[6],
                                             typename V::Shorts (&t)[6]) noexcept {
  const auto d4_d2 = V::sub16(d[4], d[2]);
  const auto twice = V::template shl16<1>(V::sub16(d[3], d[1]));
  const auto even = V::sub16(d[4], V::template shl16<2>(d[2]));
  const auto odd = V::sub16(d[3], V::template shl16<2>(d[1]));
  t[0] = V::add16(V::template shl16<2>(V::sub16(d[0], d[2])), d4_d2);
  t[1] = V::add16(even, odd);
  t[2] = V::sub16(even, odd);
  t[3] = V::add16(d4_d2, twice);
  t[4] = V::sub16(d4_d2, twice);
  t[5] = V::sub16(V::sub16(d[5], d[3]), V::template shl16<1>(twice));
}

template <class V, bool Signed>
[[gnu::always_inline]] inline void transform_vector(const InputArgs& args, std::size_t c, std::size_t count,
                                                    typename V::Shorts correction) noexcept {
  typename V::Shorts columns[6][6];
  unrolled<6>(QCONV_EACH(x) {
    typename V::Shorts d[6];
    unrolled<6>(QCONV_EACH(y) { d[y] = V::template load_shorts<Signed>(args.pixels[6 * y + x] + c, count); });
    to_points<V>(d, columns[x]);
  });
  unrolled<6>(QCONV_EACH(y) {
    typename V::Shorts d[6];
    typename V::Shorts t[6];
    unrolled<6>(QCONV_EACH(x) { d[x] = columns[x][y]; });
    to_points<V>(d, t);
    if constexpr (y == 1) t[1] = V::sub16(t[1], correction);
    std::int16_t* points = args.points + c + 6 * y * args.point_stride;
    unrolled<6>(QCONV_EACH(x) { V::store_shorts(points + x * args.point_stride, t[x]); });
  });
}

template <class V, bool Signed>
void transform_input(const InputArgs& args) noexcept {
  // A constant reaches one point alone, that of the rows whose coefficients do not add up to 0.
  const auto correction = V::set_shorts(static_cast<std::int16_t>(36 * args.zero_point));
  std::size_t c = 0;
  for (; c + V::kShorts <= args.channels; c += V::kShorts)
    transform_vector<V, Signed>(args, c, V::kShorts, correction);
  if (c < args.channels) transform_vector<V, Signed>(args, c, args.channels - c, correction);
}

// One dimension of the output transform. The packed weights hold what is left of the factors:
//     1  2  2  1  1  0      24 times the output
//     0  1 -1  1 -1  0      12 times
//     0  1  1  2  2  0
//     0  1 -1  4 -4  2
template <class V>
[[gnu::always_inline]] inline void to_outputs(const typename V::Accumulator (&m)[6],
                                              typename V::Accumulator (&y)[4]) noexcept {
  const auto sum1 = V::add32(m[1], m[2]);
  const auto difference1 = V::sub32(m[1], m[2]);
  const auto sum2 = V::add32(m[3], m[4]);
  const auto difference2 = V::sub32(m[3], m[4]);
  y[0] = V::add32(V::add32(m[0], sum2), V::template shl32<1>(sum1));
  y[1] = V::add32(difference1, difference2);
  y[2] = V::add32(sum1, V::template shl32<1>(sum2));
  y[3] = V::add32(difference1, V::template shl32<1>(V::add32(m[5], V::template shl32<1>(difference2))));
}

// At most N bytes, N itself without a call.
template <std::size_t N>
void copy_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t count) noexcept {
  count == N ? std::memcpy(to, from, N) : std::memcpy(to, from, count);
}

// The part of an epilogue that belongs to one vector of columns.
template <class V>
struct Columns {
  typename V::Accumulator centre, initial;
  decltype(V::load_floats(nullptr)) bias, multiplier;
};

// Where 4 x 4 outputs of one vector of columns go, all of them.
struct Target {
  std::uint8_t* output;
  const std::uint8_t* addend;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

// What a row of outputs does on its way to bytes.
enum class Finish {
  bounded,  // nothing exceeds int32 before the bytes are limited
  plain,
  add,
};

// One output row of a tile. Its sums are centred and scaled by 9 * 2^Shift, the first one by twice that,
// modulo 2^32: as they fit the bits that the shift leaves, they are found exactly.
template <class V, Finish How, int Shift>
[[gnu::always_inline]] inline void finish_row(const Epilogue& e, const Columns<V>& c,
                                              const typename V::Accumulator (&scaled)[4],
                                              const Target& target, const typename V::Range& range,
                                              std::int64_t at) noexcept {
  typename V::Accumulator rounded[4];
  unrolled<4>(QCONV_EACH(x) {
    constexpr int kShift = Shift + (x == 0);
    const auto centred = V::template sar32<kShift>(V::template mul32<kInverseOf9>(scaled[x]));
    auto value = V::scale(V::add32(centred, c.initial), c.bias, e.bias_scale, c.multiplier);
    if constexpr (How == Finish::add) {
      typename V::Accumulator addend[1];
      V::template load_block<1>(target.addend + at + static_cast<std::int64_t>(x) * target.column_stride,
                                V::kLanes, e.addend_flip, addend);
      value = V::add_integers(value, addend[0], e.addend_zero_point, e.addend_multiplier);
    }
    rounded[x] = V::round(How == Finish::bounded ? value : V::clamp(value, e.lo, e.hi));
  });
  V::store_pixels(target.output + at, target.column_stride, rounded, range);
}

template <class V, Finish How>
[[gnu::always_inline]] inline void finish_tile(const Epilogue& e, const Columns<V>& c,
                                               const std::int32_t* sums, std::size_t stride,
                                               const Target& target,
                                               const typename V::Range& range) noexcept {
  typename V::Accumulator rows[4][6];
  unrolled<6>(QCONV_EACH(x) {
    typename V::Accumulator m[6];
    typename V::Accumulator y[4];
    unrolled<6>(QCONV_EACH(i) { m[i] = V::load_sums(sums + (6 * i + x) * stride); });
    // What is added to this point is added to every output alike.
    if constexpr (x == 1) m[1] = V::add32(m[1], c.centre);
    to_outputs<V>(m, y);
    unrolled<4>(QCONV_EACH(i) { rows[i][x] = y[i]; });
  });
  unrolled<4>(QCONV_EACH(i) {
    typename V::Accumulator y[4];
    to_outputs<V>(rows[i], y);
    finish_row<V, How, kSpareBits - (i > 0) - 1>(e, c, y, target, range,
                                                 static_cast<std::int64_t>(i) * target.row_stride);
  });
}

// The same for fewer than 4 x 4 outputs or a vector of fewer columns: by way of a whole tile of its own.
template <class V, Finish How>
void finish_part(const OutputArgs& args, const Columns<V>& c, const std::int32_t* sums, std::size_t stride,
                 const TileOutputs& tile, std::size_t first, const typename V::Range& range) noexcept {
  constexpr std::size_t kTile = 16 * V::kLanes;
  alignas(64) std::uint8_t output[kTile];
  alignas(64) std::uint8_t addend[How == Finish::add ? kTile : 1] = {};
  const std::size_t count = args.columns - first < V::kLanes ? args.columns - first : V::kLanes;
  const auto for_each_pixel = [&](const auto& copy) {
    for (std::size_t y = 0; y < tile.height; ++y) {
      for (std::size_t x = 0; x < tile.width; ++x) {
        copy((4 * y + x) * V::kLanes, tile.offset + static_cast<std::int64_t>(first) +
                                          static_cast<std::int64_t>(y) * args.row_stride +
                                          static_cast<std::int64_t>(x) * args.column_stride);
      }
    }
  };
  if constexpr (How == Finish::add) {
    for_each_pixel([&](std::size_t at, std::int64_t pixel) {
      copy_bytes<V::kLanes>(addend + at, args.addend + pixel, count);
    });
  }
  finish_tile<V, How>(args.epilogue, c, sums, stride, {output, addend, 4 * V::kLanes, V::kLanes}, range);
  for_each_pixel([&](std::size_t at, std::int64_t pixel) {
    copy_bytes<V::kLanes>(args.output + pixel, output + at, count);
  });
}

// The output is seldom in a near cache, nor what is added to it.
template <Finish How>
void prefetch_outputs(const OutputArgs& args, const TileOutputs& tile) noexcept {
  for (std::size_t y = 0; y < tile.height; ++y) {
    std::int64_t pixel = tile.offset + static_cast<std::int64_t>(y) * args.row_stride;
    for (std::size_t x = 0; x < tile.width; ++x, pixel += args.column_stride) {
      __builtin_prefetch(args.output + pixel, 1);
      if (How == Finish::add) __builtin_prefetch(args.addend + pixel);
    }
  }
}

template <class V, Finish How>
void finish_tiles(const OutputArgs& args) noexcept {
  const Epilogue& e = args.epilogue;
  const auto range = V::template load_range<4>(e.bytes, 4 * V::kLanes);
  const std::size_t stride = (args.columns + V::kLanes - 1) / V::kLanes * V::kLanes;
  for (std::size_t i = 0; i < args.tiles; ++i) {
    const TileOutputs& tile = args.positions[i];
    const bool whole = tile.height == 4 && tile.width == 4;
    if (i + 1 < args.tiles) prefetch_outputs<How>(args, args.positions[i + 1]);
    for (std::size_t first = 0; first < args.columns; first += V::kLanes) {
      const std::int32_t* sums = args.sums + i * kPoints * stride + first;
      const Columns<V> c{V::load_sums(args.centre + first), V::load_sums(e.initial + first),
                         V::load_floats(e.bias + first), V::load_floats(e.multiplier + first)};
      if (whole && first + V::kLanes <= args.columns) {
        const std::int64_t at = tile.offset + static_cast<std::int64_t>(first);
        finish_tile<V, How>(e, c, sums, stride,
                            {args.output + at, How == Finish::add ? args.addend + at : nullptr,
                             args.row_stride, args.column_stride},
                            range);
      } else {
        finish_part<V, How>(args, c, sums, stride, tile, first, range);
      }
    }
  }
}

template <class V>
void transform_output(const OutputArgs& args) noexcept {
  if (args.addend != nullptr) return finish_tiles<V, Finish::add>(args);
  if (V::kRoundsAll && args.epilogue.bounded) return finish_tiles<V, Finish::bounded>(args);
  finish_tiles<V, Finish::plain>(args);
}

}  // namespace
}  // namespace qconv::engines::winograd

/// Defines the steps of one row of kernels.inc.
#define QCONV_DEFINE_WINOGRAD(isa, V, rows, columns, vectors)                                           \
  namespace qconv::engines::winograd {                                                                  \
  static_assert((columns) == (vectors)*V::kLanes);                                                      \
  extern const Steps qx8qs8_winograd_##rows##x##columns##c2_##isa;                                      \
  const Steps qx8qs8_winograd_##rows##x##columns##c2_##isa = {                                          \
      &transform_input<V, false>, &transform_input<V, true>, &multiply<V, (rows) * (vectors), vectors>, \
      &transform_output<V>};                                                                            \
  }
