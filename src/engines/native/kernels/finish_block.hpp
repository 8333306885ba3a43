#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"

namespace qconv::engines {
namespace {

/// Scales, rounds and stores four vectors of sums whose channels are in lane order (lane_order.hpp). Inlined
/// whatever its size: the sums must stay in registers. `addend` is read with Add only.
template <class V, bool Add>
[[gnu::always_inline]] inline void finish_block(const Epilogue& e, const typename V::Accumulator (&sums)[4],
                                                std::size_t channels, const std::uint8_t* addend,
                                                std::uint8_t* output) noexcept {
  constexpr std::size_t kLaneBytes = V::kLanes * 4;
  alignas(64) std::uint8_t interleaved[Add ? 4 * kLaneBytes : 1];
  // In lane order the addend's bytes end up in the low byte of each lane.
  if constexpr (Add) V::interleave(addend, addend, addend, addend, channels, e.addend_flip, interleaved);
  typename V::Accumulator rounded[4];
  for (std::size_t v = 0; v < 4; ++v) {
    auto value = V::scale(sums[v], V::load_floats(e.bias + v * V::kLanes), e.bias_scale,
                          V::load_floats(e.multiplier + v * V::kLanes));
    if constexpr (Add) {
      value = V::add_low_bytes(value, interleaved + v * kLaneBytes, e.addend_zero_point, e.addend_multiplier);
    }
    rounded[v] = V::round(V::clamp(value, e.lo, e.hi));
  }
  V::store_block(output, channels, rounded, e.zero_point);
}

}  // namespace
}  // namespace qconv::engines
