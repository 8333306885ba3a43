#pragma once

#include "engines/native/kernels/depthwise/depthwise.hpp"
#include "engines/native/kernels/signed_bytes.hpp"

/// Interleaving: the first half of a depthwise kernel. Internal linkage throughout.
namespace qconv::engines::depthwise {
namespace {

// A block of channels is four vectors of sums, in the order in which packing them back to bytes restores the
// channels.
inline constexpr std::size_t kVectors = 4;
// From a column to the next. Columns of one pixel lie together, a vector of each stream; those of several
// pixels are parts of vectors, which outputs read at any column.
template <class V, int Pixels>
inline constexpr std::size_t kColumnBytes = V::kLanes* kStep*(Pixels == 1 ? V::kStreams : 1) / Pixels;

// As `condition ? a : b`, which clang-tidy takes for a mistake where a template makes its branches equal.
constexpr int either(bool condition, int a, int b) noexcept { return condition ? a : b; }

// Where the four rows of a group are, and how far apart their pixels: not at all in zero padding.
struct Sources {
  const std::uint8_t* at[kStep];
  std::int64_t step[kStep];
};

// A vector of columns: of as many pixels side by side, `from.step` apart.
template <class V, int Pixels, bool Flip>
[[gnu::always_inline]] inline void interleave(const Sources& from, std::size_t channels,
                                              std::size_t stream_bytes, std::uint8_t* to) noexcept {
  typename V::Pixels rows[kStep];
  for (std::size_t t = 0; t < kStep; ++t) {
    rows[t] = V::template load_pixels<Pixels>(from.at[t], from.step[t], channels);
    if constexpr (Flip) rows[t] = V::flip(rows[t]);
  }
  V::store_columns(rows, to, stream_bytes);
}

// Evenly spaced columns. Loads pixels one by one, or, where they fill a vector, `Together`.
template <class V, int Pixels, bool Together, bool Flip>
void interleave_evenly(Sources from, std::size_t count, const Args& args, std::uint8_t* to) noexcept {
  const std::size_t stream_bytes = args.stream_bytes;
  std::size_t i = 0;
  for (; i + Pixels <= count; i += Pixels, to += Pixels * kColumnBytes<V, Pixels>) {
    interleave<V, either(Together, 1, Pixels), Flip>(from, Together ? V::kLanes * kStep : args.channels,
                                                     stream_bytes, to);
    for (std::size_t t = 0; t < kStep; ++t) from.at[t] += Pixels * from.step[t];
  }
  for (; i < count; ++i, to += kColumnBytes<V, Pixels>) {
    interleave<V, 1, Flip>(from, args.channels, stream_bytes, to);
    for (std::size_t t = 0; t < kStep; ++t) from.at[t] += from.step[t];
  }
}

// Columns are written a vector at a time, in order, so that what one writes too much the next one corrects.
// A single pixel's channels are the first lanes of the vector.
template <class V, int Pixels, bool Flip>
void interleave_columns(const Args& args) noexcept {
  constexpr std::size_t kColumn = kColumnBytes<V, Pixels>;
  for (std::size_t g = 0; g < args.groups; ++g) {
    const std::int64_t* rows = args.rows + g * kStep;
    std::uint8_t* group = args.scratch + g * args.group_columns * kColumn;
    for (const Run* run = args.runs; run != args.runs + args.run_count; ++run) {
      std::uint8_t* to = group + run->column * kColumn;
      Sources from;
      if (run->offsets == nullptr) {
        for (std::size_t t = 0; t < kStep; ++t) {
          const bool inside = rows[t] >= 0;
          from.at[t] = inside ? args.image + rows[t] + run->first + args.tap_shifts[t] : args.zeros;
          from.step[t] = inside ? run->step : 0;
        }
        const bool together = args.channels * Pixels == V::kLanes * kStep &&
                              (Pixels == 1 || run->step == static_cast<std::int64_t>(args.channels));
        together ? interleave_evenly<V, Pixels, true, Flip>(from, run->count, args, to)
                 : interleave_evenly<V, Pixels, false, Flip>(from, run->count, args, to);
        continue;
      }
      for (std::size_t i = 0; i < run->count; ++i, to += kColumn) {
        for (std::size_t t = 0; t < kStep; ++t) {
          const std::int64_t offset = run->offsets[i * kStep + t];
          from.at[t] = rows[t] >= 0 && offset >= 0 ? args.image + rows[t] + offset : args.zeros;
          from.step[t] = 0;
        }
        interleave<V, 1, Flip>(from, args.channels, args.stream_bytes, to);
      }
    }
  }
}

template <class V, bool Flip>
void interleave_columns(const Args& args) noexcept {
  if (args.pixels == 1) return interleave_columns<V, 1, Flip>(args);
  if constexpr (V::kMostPixels >= 2) {
    if (args.pixels == 2) return interleave_columns<V, 2, Flip>(args);
  }
  if constexpr (V::kMostPixels >= 4) interleave_columns<V, 4, Flip>(args);
}

}  // namespace
}  // namespace qconv::engines::depthwise
