#pragma once

#include "engines/native/simd/scalar.hpp"

namespace qconv::engines::simd {
namespace {

/// One lane of 16 bits, and sums of two products. All arithmetic wraps.
struct ScalarInt16 : Scalar {
  static constexpr std::size_t kShorts = 1;
  using Shorts = std::int16_t;

  template <bool Signed>
  static std::int16_t load_shorts(const std::uint8_t* p, std::size_t) noexcept {
    return Signed ? static_cast<std::int8_t>(*p) : static_cast<std::int16_t>(*p);
  }
  static void store_shorts(std::int16_t* p, std::int16_t v) noexcept { *p = v; }
  static std::int16_t set_shorts(std::int16_t v) noexcept { return v; }
  static std::int16_t add16(std::int16_t a, std::int16_t b) noexcept {
    return static_cast<std::int16_t>(a + b);
  }
  static std::int16_t sub16(std::int16_t a, std::int16_t b) noexcept {
    return static_cast<std::int16_t>(a - b);
  }
  template <int N>
  static std::int16_t shl16(std::int16_t a) noexcept {
    return static_cast<std::int16_t>(static_cast<std::uint32_t>(a) << N);
  }

  /// The bytes of one channel in four neighbouring pixels, `stride` apart.
  static void store_pixels(std::uint8_t* p, std::int64_t stride, const std::int32_t (&v)[4],
                           const Range& r) noexcept {
    for (const std::int32_t value : v) {
      store_block<1>(p, {value}, {r.bytes, 1});
      p += stride;
    }
  }

  struct Pairs {
    std::int32_t first, second;
  };
  static Pairs load_pairs(const std::int16_t* p) noexcept { return {p[0], p[1]}; }
  static Pairs broadcast_pair(const std::int16_t* p) noexcept { return {p[0], p[1]}; }
  static std::int32_t dot_pairs(std::int32_t sum, Pairs a, Pairs w) noexcept {
    return add32(add32(sum, a.first * w.first), a.second * w.second);
  }

  static std::int32_t zero_sums() noexcept { return 0; }
  static std::int32_t set_sums(std::int32_t v) noexcept { return v; }
  static std::int32_t add32(std::int32_t a, std::int32_t b) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  }
  static std::int32_t sub32(std::int32_t a, std::int32_t b) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
  }
  template <std::int32_t Factor>
  static std::int32_t mul32(std::int32_t a) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(Factor));
  }
  template <int N>
  static std::int32_t shl32(std::int32_t a) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) << N);
  }
  template <int N>
  static std::int32_t sar32(std::int32_t a) noexcept {
    return a >> N;
  }
};

}  // namespace
}  // namespace qconv::engines::simd
