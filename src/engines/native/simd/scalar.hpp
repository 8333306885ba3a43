#pragma once

#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/epilogue.hpp"
#include "quantize/requant_math.hpp"

namespace qconv::engines::simd {
namespace {

/// One lane, in plain C++: what runs where no other instruction set does.
struct Scalar {
  static constexpr std::size_t kLanes = 1;
  static constexpr std::size_t kStepChannels = 4;  // of indirect GEMM, in each lane
  static constexpr bool kSignedBytes = false;      // whether dot() multiplies signed activations
  static constexpr int kSteps = 1;                 // that a vector of activations holds
  using Accumulator = std::int32_t;
  struct Weights {
    const std::int8_t* p;
  };

  static std::int32_t load_sums(const std::int32_t* p) noexcept { return *p; }
  static void store_sums(std::int32_t* p, std::int32_t sum) noexcept { *p = sum; }
  static float load_floats(const float* p) noexcept { return *p; }
  static Weights load_weights(const std::int8_t* p) noexcept { return {p}; }
  /// Flip: the bytes are of the other kind and become unsigned by adding 128, which the zero point counts,
  /// too.
  template <bool Flip>
  static std::uint32_t broadcast(std::uint32_t word) noexcept {
    return Flip ? word ^ 0x80808080U : word;
  }
  static std::int32_t dot(std::int32_t sum, std::uint32_t a, Weights w) noexcept {
    std::uint32_t total = static_cast<std::uint32_t>(sum);  // wraps where the exact sum does not
    for (int i = 0; i < 4; ++i) {
      total += static_cast<std::uint32_t>(static_cast<std::int32_t>(a >> (8 * i) & 0xffU) * w.p[i]);
    }
    return static_cast<std::int32_t>(total);
  }

  static std::int32_t subtract_product(std::int32_t sum, const std::int32_t* factors,
                                       std::int32_t factor) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) -
                                     static_cast<std::uint32_t>(*factors) *
                                         static_cast<std::uint32_t>(factor));
  }
  static float scale(std::int32_t sum, float bias, float bias_scale, float multiplier) noexcept {
    return math::scale_accumulator(sum, bias, bias_scale, multiplier);
  }
  static float add_integers(float value, std::int32_t integer, std::int32_t zero_point,
                            float multiplier) noexcept {
    return value + static_cast<float>(integer - zero_point) * multiplier;
  }
  static float clamp(float value, float lo, float hi) noexcept { return math::clamp_float(value, lo, hi); }
  static std::int32_t round(float value) noexcept { return math::round_small(value); }

  static constexpr bool kStoresRows = false;
  static constexpr bool kRoundsAll = false;  // whatever fits int32, not only what fits a byte

  // Bytes of a block of N lanes: loaded and stored.
  template <int N>
  static void load_block(const std::uint8_t* p, std::size_t count, std::uint8_t flip,
                         std::int32_t (&to)[N]) noexcept {
    for (std::size_t v = 0; v < N; ++v) to[v] = v < count ? p[v] ^ flip : 0;
  }
  struct Range {
    ByteRange bytes;
    std::size_t count;
  };
  template <int N>
  static Range load_range(const ByteRange& r, std::size_t count) noexcept {
    return {r, count};
  }
  template <int N>
  static void store_block(std::uint8_t* p, const std::int32_t (&v)[N], const Range& range) noexcept {
    const ByteRange& r = range.bytes;
    for (std::size_t c = 0; c < range.count; ++c) {
      const std::int32_t shifted = v[c] + r.zero_point;
      const std::int32_t raised = shifted > r.lo ? shifted : r.lo;
      p[c] = static_cast<std::uint8_t>((raised < r.hi ? raised : r.hi) ^ r.flip);
    }
  }

  // Depthwise columns, see kernels/depthwise/depthwise.hpp: a block is four channels of one pixel.
  struct Pixels {
    std::uint8_t values[4];
  };
  struct Pairs {
    std::int32_t values[2];
  };
  using Taps = Weights;
  static constexpr std::size_t kStreams = 4;
  static constexpr std::size_t kStreamBytes = 81 * 4 * kLanes;  // depthwise::kStreamColumns
  static constexpr std::size_t kTapBytes = 4;
  static constexpr int kMostPixels = 1;
  static constexpr bool kColumnsInRegisters = false;

  template <int Count>
  static Pixels load_pixels(const std::uint8_t* p, std::int64_t, std::size_t channels) noexcept {
    Pixels bytes{};
    for (std::size_t c = 0; c < channels; ++c) bytes.values[c] = p[c];
    return bytes;
  }
  static Pixels flip(Pixels bytes) noexcept {
    for (auto& value : bytes.values) value ^= 0x80;
    return bytes;
  }
  static void store_columns(const Pixels (&rows)[4], std::uint8_t* to, std::size_t stream_bytes) noexcept {
    for (std::size_t c = 0; c < 4; ++c) {
      for (std::size_t t = 0; t < 4; ++t) to[c * stream_bytes + t] = rows[t].values[c];
    }
  }
  static std::uint32_t load_column(const std::uint8_t* p, std::size_t) noexcept {
    return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
           static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
  }
  static Taps load_taps(const std::int8_t* p) noexcept { return {p}; }
  static std::int32_t dot_column(std::int32_t sum, std::uint32_t a, Taps w) noexcept {
    return dot(sum, a, w);
  }
  static float bit_floats(std::int32_t bits) noexcept { return __builtin_bit_cast(float, bits); }
  static std::int32_t widen(Pixels bytes, std::size_t v) noexcept { return bytes.values[v]; }
  static float add_widened(float value, std::int32_t addend, std::int32_t zero_point,
                           float multiplier) noexcept {
    return value + static_cast<float>(addend - zero_point) * multiplier;
  }
  /// Limited to `hi` and far below any byte; NaN becomes the lowest.
  static std::int32_t round_below(float value, float hi) noexcept {
    return math::round_small(math::clamp_float(value, -1024.0F, hi));
  }
  static Pairs pack_pairs(std::int32_t a, std::int32_t b) noexcept { return {{a, b}}; }
  static Pixels pack_bytes(Pairs a, Pairs b, int zero_point, int lo, std::uint8_t flip) noexcept {
    Pixels bytes{};
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int32_t value = (i < 2 ? a : b).values[i % 2] + zero_point;
      bytes.values[i] = static_cast<std::uint8_t>((value > lo ? value : lo) ^ flip);
    }
    return bytes;
  }
  static Pixels load_outputs(const std::uint8_t* p, std::int64_t step, std::size_t channels, std::size_t,
                             std::size_t) noexcept {
    return load_pixels<1>(p, step, channels);
  }
  static void store_pixel(Pixels bytes, std::uint8_t* p, std::size_t channels) noexcept {
    for (std::size_t c = 0; c < channels; ++c) p[c] = bytes.values[c];
  }
  static void store_outputs(Pixels bytes, std::uint8_t* p, std::int64_t, std::size_t channels, std::size_t,
                            std::size_t) noexcept {
    store_pixel(bytes, p, channels);
  }
};

}  // namespace
}  // namespace qconv::engines::simd
