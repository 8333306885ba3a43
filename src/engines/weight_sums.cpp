#include "engines/weight_sums.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace qconv::engines {
namespace {

// Loops of fixed length over 16-bit numbers, which every compiler makes vectors of.
constexpr std::size_t kLanes = 16;
constexpr std::int64_t kSteps = 128;  // of 255 at most fit in a lane

void add(WeightSums& sums, const std::int8_t* weights, std::int64_t count, std::int32_t zero_point) noexcept {
  const auto zero = static_cast<std::int16_t>(zero_point);
  while (count >= static_cast<std::int64_t>(kLanes)) {
    std::array<std::int16_t, kLanes> positive{};
    std::array<std::int16_t, kLanes> negative{};
    const std::int64_t steps = std::min(kSteps, count / static_cast<std::int64_t>(kLanes));
    for (std::int64_t s = 0; s < steps; ++s) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        const auto w = static_cast<std::int16_t>(weights[i] - zero);
        positive[i] = static_cast<std::int16_t>(positive[i] + std::max<std::int16_t>(w, 0));
        negative[i] = static_cast<std::int16_t>(negative[i] + std::min<std::int16_t>(w, 0));
      }
      weights += kLanes;
    }
    count -= steps * static_cast<std::int64_t>(kLanes);
    for (const std::int16_t v : positive) sums.positive += v;
    for (const std::int16_t v : negative) sums.negative -= v;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t w = weights[i] - zero_point;
    sums.positive += std::max(w, 0);
    sums.negative -= std::min(w, 0);
  }
}

// The same without a zero point: bytes are kept apart by their signs and added up in pairs.
void add(WeightSums& sums, const std::int8_t* weights, std::int64_t count) noexcept {
  using Bytes [[gnu::vector_size(16)]] = std::int8_t;
  using Words [[gnu::vector_size(16)]] = std::uint16_t;
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Bytes));
  constexpr std::int64_t kPairSteps = 255;  // pairs of 128 fit in a word
  const auto pairs = [](Bytes magnitudes) {
    const auto words = reinterpret_cast<Words>(magnitudes);
    return (words & 0xff) + (words >> 8);
  };
  while (count >= kBytes) {
    Words positive{};
    Words negative{};
    const std::int64_t steps = std::min(kPairSteps, count / kBytes);
    for (std::int64_t s = 0; s < steps; ++s, weights += kBytes) {
      Bytes w;
      std::memcpy(&w, weights, sizeof(w));
      const Bytes minus = w & (w < 0);
      positive += pairs(w - minus);
      negative += pairs(-minus);
    }
    count -= steps * kBytes;
    for (std::size_t i = 0; i < sizeof(Words) / 2; ++i) {
      sums.positive += positive[i];
      sums.negative += negative[i];
    }
  }
  add(sums, weights, count, 0);
}

}  // namespace

std::vector<WeightSums> weight_sums(const ConvGeometry& g, const std::int8_t* weights,
                                    std::span<const std::int32_t> zero_points) {
  std::vector<WeightSums> sums(static_cast<std::size_t>(g.out_channels));
  const Shape sizes = g.weight_sizes();
  // Weights that lie side by side and belong to one channel.
  const std::int64_t run = g.transposed ? g.taps() : sizes[1] * g.taps();
  const std::int64_t runs = g.transposed ? sizes[1] : 1;
  for (std::int64_t i = 0; i < sizes[0]; ++i) {
    for (std::int64_t j = 0; j < runs; ++j) {
      const auto oc =
          static_cast<std::size_t>(g.transposed ? i / g.in_channels_per_group() * sizes[1] + j : i);
      zero_points[oc] == 0 ? add(sums[oc], weights, run) : add(sums[oc], weights, run, zero_points[oc]);
      weights += run;
    }
  }
  return sums;
}

}  // namespace qconv::engines
