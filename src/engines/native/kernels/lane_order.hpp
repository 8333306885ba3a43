#pragma once

#include <cstddef>

/// The order of channels in a block of four vectors of 32-bit lanes. Packing the four to bytes works within
/// 128-bit lanes; with this order of channels in, the bytes come out in memory order, and one store writes
/// the block. Where a vector is 128 bits wide, that is the order of memory.
namespace qconv::engines {

/// The channel that lane i of the block (counted through the four vectors) holds.
constexpr std::size_t lane_channel(std::size_t i, std::size_t lanes) noexcept {
  if (lanes < 4) return i;
  return i % lanes / 4 * 16 + i / lanes * 4 + i % 4;
}

/// The lane of the block that holds a channel: the inverse.
constexpr std::size_t channel_lane(std::size_t channel, std::size_t lanes) noexcept {
  if (lanes < 4) return channel;
  return channel % 16 / 4 * lanes + channel / 16 * 4 + channel % 4;
}

/// The same for a block of `vectors` vectors, 1 to 4. Two are packed as four are; three and one keep the
/// order of memory.
constexpr std::size_t channel_lane(std::size_t channel, std::size_t lanes, std::size_t vectors) noexcept {
  if (vectors == 4) return channel_lane(channel, lanes);
  if (lanes < 4 || vectors != 2) return channel;
  return channel % 8 / 4 * lanes + channel / 8 * 4 + channel % 4;
}

}  // namespace qconv::engines
