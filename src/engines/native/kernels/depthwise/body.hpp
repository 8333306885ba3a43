#pragma once

#include "engines/native/kernels/depthwise/columns.hpp"
#include "engines/native/kernels/depthwise/direct.hpp"

/// The one body of every depthwise kernel, over the vector type V of an instruction set
/// (engines/native/simd). Internal linkage throughout.
namespace qconv::engines::depthwise {
namespace {

// Wider tiles than this compute too much beyond the last output.
inline constexpr int kMostWidth = 4;

// From the columns of a vector of outputs to those of the next.
template <class V, bool OnePixel>
inline constexpr std::size_t kVectorStep = OnePixel ? kColumnBytes<V, 1> : V::kLanes* kStep;

// What a stretch of output rows has in common. A copy, since stores of bytes could change an Args.
template <class V>
struct Common {
  explicit Common(const Args& args) noexcept
      : e(args.epilogue),
        parameters(args.parameters),
        channels(args.channels),
        pixels(static_cast<std::int64_t>(args.pixels)),
        steps(args.steps),
        stream_bytes(args.stream_bytes),
        step_columns(args.step_columns),
        column_bytes(args.column_bytes),
        weights(args.weights),
        zero_point(args.epilogue.zero_point + args.output_flip),
        lo(static_cast<int>(args.epilogue.lo) + zero_point),
        flip(args.output_flip),
        step(args.output_step),
        row_step(args.output_row_step) {}

  Epilogue e;
  const std::int32_t* parameters;
  std::size_t channels;
  std::int64_t pixels;
  std::size_t steps;
  std::size_t stream_bytes;
  const std::size_t* step_columns;
  std::size_t column_bytes;
  const std::int8_t* weights;
  int zero_point;  // of bytes without sign
  int lo;
  std::uint8_t flip;
  std::int64_t step;
  std::int64_t row_step;
};

// Sums `v` of a tile: `Rows` rows of `Width` neighbouring vectors of outputs, scaled and rounded. Steps is 0
// where their number is known at run time only.
template <class V, int Rows, int Width, int Steps, bool Add, bool OnePixel>
[[gnu::always_inline]] inline void sum_tile(
    const Common<V>& c, std::size_t v, const std::uint8_t* const* columns,
    const typename V::Pixels (&addends)[either(Add, Rows, 1)][either(Add, Width, 1)],
    typename V::Accumulator (&sums)[Rows][Width]) noexcept {
  const auto initial = V::load_sums(c.parameters + v * V::kLanes);
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) sums[r][x] = initial;
  }
  const std::size_t steps = Steps > 0 ? Steps : c.steps;
  constexpr std::size_t kVector = V::kLanes * kStep;
  const std::size_t stream_bytes = OnePixel ? kVector : Steps > 0 ? V::kStreamBytes : c.stream_bytes;
  const std::int8_t* weights = c.weights + v * V::kTapBytes;
  for (std::size_t j = 0; j < steps; ++j) {
    const std::uint8_t* column = (Steps > 0 ? columns[j] : columns[0] + c.step_columns[j] * c.column_bytes) +
                                 v * V::kStreams / kVectors * stream_bytes;
    typename V::Taps taps[Rows];
    for (std::size_t r = 0; r < Rows; ++r) {
      taps[r] = V::load_taps(weights + (r * steps + j) * kVectors * V::kTapBytes);
    }
    for (int x = 0; x < Width; ++x) {
      const auto values =
          V::load_column(column + static_cast<std::size_t>(x) * kVectorStep<V, OnePixel>, stream_bytes);
      for (int r = 0; r < Rows; ++r) sums[r][x] = V::dot_column(sums[r][x], values, taps[r]);
    }
  }
  const auto bias = V::bit_floats(V::load_sums(c.parameters + (kVectors + v) * V::kLanes));
  const auto multiplier = V::bit_floats(V::load_sums(c.parameters + (2 * kVectors + v) * V::kLanes));
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) {
      auto value = V::scale(sums[r][x], bias, c.e.bias_scale, multiplier);
      if constexpr (Add) {
        value =
            V::add_widened(value, V::widen(addends[r][x], v), c.e.addend_zero_point, c.e.addend_multiplier);
      }
      sums[r][x] = V::round_below(value, c.e.hi);
    }
  }
}

// `Rows` by `Width` vectors of outputs, of which `left` outputs along the width are there to be stored. What
// lies beyond them is computed from whatever the scratch holds.
template <class V, int Rows, int Width, int Steps, bool Add, bool OnePixel>
[[gnu::always_inline]] inline void run_tile(const Common<V>& c, const std::uint8_t* const* columns,
                                            std::int64_t left, const std::uint8_t* addend,
                                            std::uint8_t* output) noexcept {
  const std::int64_t pixels = OnePixel ? 1 : c.pixels;
  const auto offset = [&](int r, int x) { return r * c.row_step + x * pixels * c.step; };
  const auto count = [&](int x) {
    return static_cast<std::size_t>(left - x * pixels < pixels ? left - x * pixels : pixels);
  };
  typename V::Pixels addends[either(Add, Rows, 1)][either(Add, Width, 1)];
  if constexpr (Add) {
    for (int r = 0; r < Rows; ++r) {
      for (int x = 0; x < Width; ++x) {
        const int at = x * pixels < left ? x : 0;
        addends[r][x] = V::load_outputs(addend + offset(r, at), c.step, c.channels,
                                        static_cast<std::size_t>(pixels), count(at));
        if (c.e.addend_flip != 0) addends[r][x] = V::flip(addends[r][x]);
      }
    }
  }
  typename V::Accumulator a[Rows][Width];
  typename V::Accumulator b[Rows][Width];
  typename V::Pairs lower[Rows][Width];
  sum_tile<V, Rows, Width, Steps, Add, OnePixel>(c, 0, columns, addends, a);
  sum_tile<V, Rows, Width, Steps, Add, OnePixel>(c, 1, columns, addends, b);
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) lower[r][x] = V::pack_pairs(a[r][x], b[r][x]);
  }
  sum_tile<V, Rows, Width, Steps, Add, OnePixel>(c, 2, columns, addends, a);
  sum_tile<V, Rows, Width, Steps, Add, OnePixel>(c, 3, columns, addends, b);
#pragma GCC unroll 8
  for (int x = 0; x < Width; ++x) {
    if (x * pixels >= left) break;
    for (int r = 0; r < Rows; ++r) {
      const auto bytes =
          V::pack_bytes(lower[r][x], V::pack_pairs(a[r][x], b[r][x]), c.zero_point, c.lo, c.flip);
      if constexpr (OnePixel) {
        V::store_pixel(bytes, output + offset(r, x), c.channels);
      } else {
        V::store_outputs(bytes, output + offset(r, x), c.step, c.channels, static_cast<std::size_t>(pixels),
                         count(x));
      }
    }
  }
}

template <class V, int Tile, int Rows, int Steps, bool Add, bool OnePixel>
void run_rows(const Args& args) noexcept {
  constexpr int kFit = Tile > Rows ? Tile / Rows : 1;
  constexpr int kWidth = kFit < kMostWidth ? kFit : kMostWidth;
  const Common<V> c(args);
  const std::uint8_t* columns[Steps > 0 ? Steps : 1] = {args.scratch};
  for (int j = 0; j < Steps; ++j) columns[j] = args.scratch + args.step_columns[j] * c.column_bytes;
  const std::int64_t tile = kWidth * (OnePixel ? 1 : c.pixels);
  const std::uint8_t* addend = args.addend;
  std::uint8_t* output = args.output;
  for (auto left = static_cast<std::int64_t>(args.outputs); left > 0; left -= tile) {
    if (kWidth > 2 && 2 * left <= tile) {
      return run_tile<V, Rows, (kWidth + 1) / 2, Steps, Add, OnePixel>(c, columns, left, addend, output);
    }
    run_tile<V, Rows, kWidth, Steps, Add, OnePixel>(c, columns, left, addend, output);
    for (auto& column : columns) column += kWidth * kVectorStep<V, OnePixel>;
    if constexpr (Add) addend += tile * c.step;
    output += tile * c.step;
  }
}

template <class V, int Tile, int Rows, bool Add>
void run_steps(const Args& args) noexcept {
  if constexpr (Rows <= 2) {
    if (args.steps == 3) {
      if (args.pixels == 1) return run_rows<V, Tile, Rows, 3, Add, true>(args);
      if (args.stream_bytes == V::kStreamBytes) return run_rows<V, Tile, Rows, 3, Add, false>(args);
    }
  }
  args.pixels == 1 ? run_rows<V, Tile, Rows, 0, Add, true>(args)
                   : run_rows<V, Tile, Rows, 0, Add, false>(args);
}

template <class V, int Tile, bool Add>
void run_dots(const Args& args) noexcept {
  switch (args.output_rows) {
    case 1:
      return run_steps<V, Tile, 1, Add>(args);
    case 2:
      return run_steps<V, Tile, 2, Add>(args);
    case 3:
      return run_steps<V, Tile, 3, Add>(args);
    default:
      return run_steps<V, Tile, 4, Add>(args);
  }
}

template <class V, int Tile>
void run(const Args& args) noexcept {
  if constexpr (V::kColumnsInRegisters) {
    if (run_direct<V>(args)) return;
  }
  args.signed_input == V::kSignedBytes ? interleave_columns<V, false>(args)
                                       : interleave_columns<V, true>(args);
  args.addend == nullptr ? run_dots<V, Tile, false>(args) : run_dots<V, Tile, true>(args);
}

}  // namespace
}  // namespace qconv::engines::depthwise

/// Defines the function of one row of kernels.inc.
#define QCONV_DEFINE_DEPTHWISE(isa, V, tile, block, most_pixels, tap_bytes)                              \
  namespace qconv::engines::depthwise {                                                                  \
  static_assert((block) == kVectors * V::kLanes && (most_pixels) == V::kMostPixels);                     \
  static_assert(V::kSignedBytes == signed_bytes::isa);                                                   \
  static_assert((tap_bytes)*kVectors == V::kStreams && V::kTapBytes == V::kLanes * kStep * (tap_bytes)); \
  void qx8qs8_depthwise_##tile##x##block##c4_##isa(const Args& args) noexcept { run<V, tile>(args); }    \
  }
