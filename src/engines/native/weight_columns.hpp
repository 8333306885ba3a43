#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

namespace qconv::engines {

/// The weights of an output channel and where packing puts them.
struct WeightColumn {
  const std::int8_t* from;
  const std::int64_t*
      places;           ///< of each weight of a tap, in bytes from where the tap's packed weights start ...
  std::int64_t offset;  ///< ... with this added
};

inline std::int32_t sum_weights(std::span<const std::int8_t> weights) {
  return std::accumulate(weights.begin(), weights.end(), std::int32_t{0});
}

/// Copies `count` weights of each column, from `first` on, each as a T. All columns take turns, so that what
/// they write next to each other is written at about the same time.
template <class T>
void copy_columns(std::span<const WeightColumn> columns, std::size_t first, std::size_t count,
                  std::int8_t* to) {
  for (std::size_t i = 0; i < count; ++i) {
    for (const WeightColumn& column : columns) {
      const T w = column.from[first + i];  // NOLINT(bugprone-signed-char-misuse): a number, not a character
      std::memcpy(to + column.places[i] + column.offset, &w, sizeof(w));
    }
  }
}

/// Whether each four weights of a byte go next to each other.
inline bool in_words(const std::vector<std::int64_t>& places) noexcept {
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] != places[i / 4 * 4] + static_cast<std::int64_t>(i % 4)) return false;
  }
  return places.size() % 4 == 0;
}

/// The same for such weights, four at a time.
inline void copy_words(std::span<const WeightColumn> columns, std::size_t first, std::size_t count,
                       std::int8_t* to) {
  constexpr std::size_t kAtOnce = 16;
  for (std::size_t i = 0; i < count; i += kAtOnce) {
    const std::size_t end = std::min(i + kAtOnce, count);
    for (const WeightColumn& column : columns) {
      const std::int8_t* const from = column.from + first;
      const std::int64_t* const places = column.places;
      std::int8_t* const place = to + column.offset;
      for (std::size_t at = i; at < end; at += 4) std::memcpy(place + places[at], from + at, 4);
    }
  }
}

/// The same for weights of so many bytes, 1 or 2.
using CopyColumns = void (*)(std::span<const WeightColumn> columns, std::size_t first, std::size_t count,
                             std::int8_t* to);
inline CopyColumns copy_columns_of(std::int64_t bytes) {
  return bytes == 2 ? copy_columns<std::int16_t> : copy_columns<std::int8_t>;
}

}  // namespace qconv::engines
