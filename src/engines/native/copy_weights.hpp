#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace qconv::engines {

/// Where packing puts a weight.
struct Move {
  std::int64_t from;  ///< from the first weight of an output channel
  std::int64_t to;    ///< bytes from where that channel's packed weights start
};

/// Copies weights, each as a T, and sums them.
template <class T>
std::int32_t copy_weights(std::span<const Move> moves, const std::int8_t* from, std::int8_t* to) {
  std::int32_t sum = 0;
  for (const Move& move : moves) {
    const T w = from[move.from];  // NOLINT(bugprone-signed-char-misuse): a number, not a character
    std::memcpy(to + move.to, &w, sizeof(w));
    sum += w;
  }
  return sum;
}

/// The same for weights of so many bytes, 1 or 2.
using CopyWeights = std::int32_t (*)(std::span<const Move> moves, const std::int8_t* from, std::int8_t* to);
inline CopyWeights copy_weights_of(std::int64_t bytes) {
  return bytes == 2 ? copy_weights<std::int16_t> : copy_weights<std::int8_t>;
}

}  // namespace qconv::engines
