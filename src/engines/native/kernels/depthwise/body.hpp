#pragma once

#include "engines/native/kernels/depthwise/columns.hpp"

/// The one body of every depthwise kernel, over the vector type V of an instruction set
/// (engines/native/simd). Internal linkage throughout.
namespace qconv::engines::depthwise {
namespace {

// A block of channels is four vectors of sums, in the order in which packing them back to bytes restores the
// channels.
inline constexpr std::size_t kVectors = 4;

// Sums `v` of a tile: `Rows` rows of `Width` neighbouring vectors of outputs, scaled and rounded. Steps is 0
// where their number is known at run time only.
template <class V, int Rows, int Width, int Steps, bool Add>
[[gnu::always_inline]] inline void sum_tile(
    const Args& args, std::size_t v, const std::uint8_t* columns,
    const typename V::Pixels (&addends)[Add ? Rows : 1][Add ? Width : 1],
    typename V::Accumulator (&sums)[Rows][Width]) noexcept {
  const Epilogue& e = args.epilogue;
  const auto initial = V::load_sums(e.initial + v * V::kLanes);
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) sums[r][x] = initial;
  }
  const std::size_t step_taps = args.packed_rows * kVectors * V::kTapBytes;
  const std::int8_t* weights = args.weights + v * V::kTapBytes;
  columns += v * V::kStreams / kVectors * args.stream_bytes;
  const std::size_t steps = Steps > 0 ? Steps : args.steps;
  for (std::size_t j = 0; j < steps; ++j, weights += step_taps) {
    const std::uint8_t* column = columns + args.step_columns[j] * column_bytes<V>(args);
    typename V::Taps taps[Rows];
    for (int r = 0; r < Rows; ++r) {
      taps[r] = V::load_taps(weights + static_cast<std::size_t>(r) * kVectors * V::kTapBytes);
    }
    for (int x = 0; x < Width; ++x, column += V::kLanes * kStep) {
      const auto values = V::load_column(column, args.stream_bytes);
      for (int r = 0; r < Rows; ++r) sums[r][x] = V::dot_column(sums[r][x], values, taps[r]);
    }
  }
  const auto bias = V::load_floats(e.bias + v * V::kLanes);
  const auto multiplier = V::load_floats(e.multiplier + v * V::kLanes);
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) {
      auto value = V::scale(sums[r][x], bias, e.bias_scale, multiplier);
      if constexpr (Add) {
        value = V::add_widened(value, V::widen(addends[r][x], v), e.addend_zero_point, e.addend_multiplier);
      }
      sums[r][x] = V::round_below(value, e.hi);
    }
  }
}

// `Rows` by `Width` vectors of outputs, from vector `first` on. What of them lies beyond the outputs is
// computed from whatever the scratch holds, and not stored.
template <class V, int Rows, int Width, int Steps, bool Add>
void run_tile(const Args& args, std::size_t first) noexcept {
  const std::uint8_t* columns = args.scratch + first * V::kLanes * kStep;
  const auto pixels = static_cast<std::int64_t>(args.pixels);
  const std::int64_t begin = static_cast<std::int64_t>(first) * pixels;
  const std::int64_t left = static_cast<std::int64_t>(args.outputs) - begin;
  const auto offset = [&](int r, int x) {
    return r * args.output_row_step + (begin + x * pixels) * args.output_step;
  };
  const auto count = [&](int x) {
    return static_cast<std::size_t>(left - x * pixels < pixels ? left - x * pixels : pixels);
  };
  typename V::Pixels addends[Add ? Rows : 1][Add ? Width : 1];
  if constexpr (Add) {
    for (int r = 0; r < Rows; ++r) {
      for (int x = 0; x < Width; ++x) {
        const int at = x * pixels < left ? x : 0;
        addends[r][x] = V::load_outputs(args.addend + offset(r, at), args.output_step, args.channels,
                                        args.pixels, count(at));
        if (args.epilogue.addend_flip != 0) addends[r][x] = V::flip(addends[r][x]);
      }
    }
  }
  typename V::Accumulator a[Rows][Width];
  typename V::Accumulator b[Rows][Width];
  typename V::Pairs lower[Rows][Width];
  sum_tile<V, Rows, Width, Steps, Add>(args, 0, columns, addends, a);
  sum_tile<V, Rows, Width, Steps, Add>(args, 1, columns, addends, b);
  for (int r = 0; r < Rows; ++r) {
    for (int x = 0; x < Width; ++x) lower[r][x] = V::pack_pairs(a[r][x], b[r][x]);
  }
  sum_tile<V, Rows, Width, Steps, Add>(args, 2, columns, addends, a);
  sum_tile<V, Rows, Width, Steps, Add>(args, 3, columns, addends, b);
  const int zero_point = args.epilogue.zero_point + args.output_flip;
  const int lo = static_cast<int>(args.epilogue.lo) + zero_point;
  for (int x = 0; x < Width && x * pixels < left; ++x) {
    for (int r = 0; r < Rows; ++r) {
      const auto bytes =
          V::pack_bytes(lower[r][x], V::pack_pairs(a[r][x], b[r][x]), zero_point, lo, args.output_flip);
      V::store_outputs(bytes, args.output + offset(r, x), args.output_step, args.channels, args.pixels,
                       count(x));
    }
  }
}

template <class V, int Tile, int Rows, int Steps, bool Add>
void run_rows(const Args& args) noexcept {
  constexpr int kWidth = Tile > Rows ? Tile / Rows : 1;
  const std::size_t vectors = (args.outputs + args.pixels - 1) / args.pixels;
  std::size_t x = 0;
  for (; x + 1 < vectors; x += kWidth) run_tile<V, Rows, kWidth, Steps, Add>(args, x);
  if (x < vectors) run_tile<V, Rows, 1, Steps, Add>(args, x);
}

template <class V, int Tile, int Rows, bool Add>
void run_steps(const Args& args) noexcept {
  if constexpr (Rows <= 2) {
    if (args.steps == 3) return run_rows<V, Tile, Rows, 3, Add>(args);
  }
  run_rows<V, Tile, Rows, 0, Add>(args);
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
  args.flip == 0 ? interleave_columns<V, false>(args) : interleave_columns<V, true>(args);
  args.addend == nullptr ? run_dots<V, Tile, false>(args) : run_dots<V, Tile, true>(args);
}

}  // namespace
}  // namespace qconv::engines::depthwise

/// Defines the function of one row of kernels.inc.
#define QCONV_DEFINE_DEPTHWISE(isa, V, tile, block, most_pixels, tap_bytes)                              \
  namespace qconv::engines::depthwise {                                                                  \
  static_assert((block) == kVectors * V::kLanes && (most_pixels) == V::kMostPixels);                     \
  static_assert((tap_bytes)*kVectors == V::kStreams && V::kTapBytes == V::kLanes * kStep * (tap_bytes)); \
  void qx8qs8_depthwise_##tile##x##block##c4_##isa(const Args& args) noexcept { run<V, tile>(args); }    \
  }
