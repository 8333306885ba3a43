#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <arm_neon.h>

#include "engines/native/kernels/epilogue.hpp"

namespace qconv::engines::simd {
namespace {

/// 4 lanes; sdot sums 4 products of signed bytes exactly. Its second operand may be one lane of a vector, so
/// that 16 bytes of activations are loaded at once. Narrowing keeps the order of lanes.
struct NeonDot {
  static constexpr std::size_t kLanes = 4;
  static constexpr std::size_t kStepChannels = 4;  // of indirect GEMM, in each lane
  static constexpr bool kSignedBytes = true;
  using Accumulator = int32x4_t;
  using Weights = int8x16_t;
  using Bytes = int8x16_t;

  static int32x4_t load_sums(const std::int32_t* p) noexcept { return vld1q_s32(p); }
  static void store_sums(std::int32_t* p, int32x4_t sums) noexcept { vst1q_s32(p, sums); }
  static float32x4_t load_floats(const float* p) noexcept { return vld1q_f32(p); }
  static int8x16_t load_weights(const std::int8_t* p) noexcept { return vld1q_s8(p); }
  static uint8x16_t flip(uint8x16_t bytes) noexcept { return veorq_u8(bytes, vdupq_n_u8(0x80)); }
  template <bool Flip>
  static int8x16_t activations(uint8x16_t bytes) noexcept {
    return vreinterpretq_s8_u8(Flip ? flip(bytes) : bytes);
  }
  template <bool Flip>
  static int8x16_t broadcast(std::uint32_t word) noexcept {
    return activations<Flip>(vreinterpretq_u8_u32(vdupq_n_u32(word)));
  }
  static int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t w) noexcept { return vdotq_s32(sum, w, a); }

  // Several steps of indirect GEMM: a vector holds the activations of all.
  static constexpr int kSteps = 4;
  template <bool Flip>
  static int8x16_t load_steps(const std::uint8_t* p) noexcept {
    return activations<Flip>(vld1q_u8(p));
  }
  template <int Step>
  static int32x4_t dot_step(int32x4_t sum, int8x16_t a, int8x16_t w) noexcept {
    return vdotq_laneq_s32(sum, w, a, Step);
  }

  // Up to 8 bytes as a word, and up to 16 as a vector.
  static std::uint64_t load_word(const std::uint8_t* p, std::size_t count) noexcept {
    std::uint64_t word = 0;
    if (count >= 8) {
      std::memcpy(&word, p, 8);
      return word;
    }
    const auto part = [&]<class T>(T value) {  // from the end, so that each shifts the others up
      std::memcpy(&value, p + (count & ~(2 * sizeof(T) - 1)), sizeof(T));
      word = word << (8 * sizeof(T)) | value;
    };
    if ((count & 1) != 0) part(std::uint8_t{});
    if ((count & 2) != 0) part(std::uint16_t{});
    if ((count & 4) != 0) part(std::uint32_t{});
    return word;
  }
  static void store_word(std::uint8_t* p, std::size_t count, std::uint64_t word) noexcept {
    if (count >= 8) {
      std::memcpy(p, &word, 8);
      return;
    }
    const auto part = [&](std::size_t bytes) {
      if ((count & bytes) == 0) return;
      std::memcpy(p, &word, bytes);
      p += bytes;
      word >>= 8 * bytes;
    };
    part(4);
    part(2);
    part(1);
  }
  static uint8x16_t load_bytes(const std::uint8_t* p, std::size_t count) noexcept {
    if (count >= 16) return vld1q_u8(p);
    const std::uint64_t low = load_word(p, count);
    const std::uint64_t high = count > 8 ? load_word(p + 8, count - 8) : 0;
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
  }
  static void store_bytes(std::uint8_t* p, std::size_t count, uint8x16_t bytes) noexcept {
    if (count >= 16) return vst1q_u8(p, bytes);
    const uint64x2_t words = vreinterpretq_u64_u8(bytes);
    store_word(p, count, vgetq_lane_u64(words, 0));
    if (count > 8) store_word(p + 8, count - 8, vgetq_lane_u64(words, 1));
  }

  // Grouped: a block of channels as it is in memory, and its bytes spread to the lanes that want them.
  template <bool Flip>
  static int8x16_t load_pixel(const std::uint8_t* p, std::size_t count) noexcept {
    return activations<Flip>(load_bytes(p, count));
  }
  static uint8x16_t load_positions(const std::uint8_t* p) noexcept { return vld1q_u8(p); }
  static int8x16_t spread(int8x16_t bytes, uint8x16_t positions) noexcept {
    return vqtbl1q_s8(bytes, positions);
  }

  static int32x4_t subtract_product(int32x4_t sum, const std::int32_t* factors,
                                    std::int32_t factor) noexcept {
    return vmlsq_n_s32(sum, vld1q_s32(factors), factor);
  }
  static float32x4_t scale(int32x4_t sum, float32x4_t bias, float bias_scale,
                           float32x4_t multiplier) noexcept {
    return vmulq_f32(vfmaq_n_f32(vcvtq_f32_s32(sum), bias, bias_scale), multiplier);
  }
  static float32x4_t add_integers(float32x4_t value, int32x4_t integers, std::int32_t zero_point,
                                  float multiplier) noexcept {
    const int32x4_t centred = vsubq_s32(integers, vdupq_n_s32(zero_point));
    return vaddq_f32(value, vmulq_n_f32(vcvtq_f32_s32(centred), multiplier));
  }
  /// NaN becomes `lo`: of a number and a NaN, fmaxnm takes the number.
  static float32x4_t clamp(float32x4_t value, float lo, float hi) noexcept {
    return vminnmq_f32(vmaxnmq_f32(value, vdupq_n_f32(lo)), vdupq_n_f32(hi));
  }
  static int32x4_t round(float32x4_t value) noexcept { return vcvtnq_s32_f32(value); }

  static constexpr bool kRoundsAll = true;  // whatever fits int32, not only what fits a byte

  // Bytes of a block of N vectors: loaded, each in a lane of its own, and stored.
  template <int N>
  static void load_block(const std::uint8_t* p, std::size_t count, std::uint8_t flip,
                         int32x4_t (&to)[N]) noexcept {
    const uint8x16_t bytes = veorq_u8(load_bytes(p, count), vdupq_n_u8(flip));
    for (std::size_t v = 0; v < N; ++v) to[v] = widen(bytes, v);
  }
  struct Range {
    int16x8_t zero_point16;
    uint8x16_t lo8, hi8, flip8;
    std::size_t count;  // bytes of the block that are stored
  };
  template <int N>
  static Range load_range(const ByteRange& r, std::size_t count) noexcept {
    return {vdupq_n_s16(static_cast<std::int16_t>(r.zero_point)), vdupq_n_u8(r.lo), vdupq_n_u8(r.hi),
            vdupq_n_u8(r.flip), count};
  }
  static uint8x16_t pack(int32x4_t v0, int32x4_t v1, int32x4_t v2, int32x4_t v3, const Range& r) noexcept {
    const int16x8_t s0 = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v0), v1), r.zero_point16);
    const int16x8_t s1 = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v2), v3), r.zero_point16);
    const uint8x16_t packed = vqmovun_high_s16(vqmovun_s16(s0), s1);
    return veorq_u8(vminq_u8(vmaxq_u8(packed, r.lo8), r.hi8), r.flip8);
  }
  template <int N>
  static void store_block(std::uint8_t* p, const int32x4_t (&v)[N], const Range& r) noexcept {
    store_bytes(p, r.count, pack(v[0], v[N > 1 ? 1 : 0], v[N > 2 ? 2 : 0], v[N > 3 ? 3 : 0], r));
  }
  // Two rows of two vectors, or four of one, packed as four vectors are.
  static constexpr bool kStoresRows = true;
  template <int N>
  static void store_rows(std::uint8_t* p, const std::int64_t* offsets, const int32x4_t (&v)[4],
                         const Range& r) noexcept {
    const uint64x2_t words = vreinterpretq_u64_u8(pack(v[0], v[1], v[2], v[3], r));
    const std::uint64_t halves[2] = {vgetq_lane_u64(words, 0), vgetq_lane_u64(words, 1)};
    for (int i = 0; i < 4 / N; ++i) {
      store_word(p + offsets[i], r.count, N == 2 ? halves[i] : halves[i / 2] >> (i % 2 * 32));
    }
  }

  // Depthwise columns, see kernels/depthwise/depthwise.hpp: a block is 16 channels of one pixel.
  using Pixels = uint8x16_t;
  using Pairs = int16x8_t;
  using Taps = int8x16_t;
  static constexpr std::size_t kStreams = 4;
  static constexpr std::size_t kStreamBytes = 81 * 4 * kLanes;  // depthwise::kStreamColumns
  static constexpr std::size_t kTapBytes = 16;
  static constexpr int kMostPixels = 1;
  static constexpr bool kColumnsInRegisters = false;

  template <int Count>
  static uint8x16_t load_pixels(const std::uint8_t* p, std::int64_t, std::size_t channels) noexcept {
    return load_bytes(p, channels);
  }
  static void store_columns(const uint8x16_t (&rows)[4], std::uint8_t* to,
                            std::size_t stream_bytes) noexcept {
    const uint8x16x2_t rows01 = vzipq_u8(rows[0], rows[1]);
    const uint8x16x2_t rows23 = vzipq_u8(rows[2], rows[3]);
    for (std::size_t half = 0; half < 2; ++half, to += 2 * stream_bytes) {
      const uint16x8x2_t columns =
          vzipq_u16(vreinterpretq_u16_u8(rows01.val[half]), vreinterpretq_u16_u8(rows23.val[half]));
      vst1q_u8(to, vreinterpretq_u8_u16(columns.val[0]));
      vst1q_u8(to + stream_bytes, vreinterpretq_u8_u16(columns.val[1]));
    }
  }
  static int8x16_t load_column(const std::uint8_t* p, std::size_t) noexcept {
    return vreinterpretq_s8_u8(vld1q_u8(p));
  }
  static int8x16_t load_taps(const std::int8_t* p) noexcept { return vld1q_s8(p); }
  static int32x4_t dot_column(int32x4_t sum, int8x16_t a, int8x16_t w) noexcept {
    return vdotq_s32(sum, a, w);
  }
  static float32x4_t bit_floats(int32x4_t bits) noexcept { return vreinterpretq_f32_s32(bits); }
  static int32x4_t widen(uint8x16_t bytes, std::size_t v) noexcept {
    const uint16x8_t half = v < 2 ? vmovl_u8(vget_low_u8(bytes)) : vmovl_high_u8(bytes);
    return vreinterpretq_s32_u32(v % 2 == 0 ? vmovl_u16(vget_low_u16(half)) : vmovl_high_u16(half));
  }
  static float32x4_t add_widened(float32x4_t value, int32x4_t addend, std::int32_t zero_point,
                                 float multiplier) noexcept {
    return add_integers(value, addend, zero_point, multiplier);
  }
  /// Far below any byte at least, as NaN becomes. What is too high becomes the highest integer, and 255.
  static int32x4_t round_below(float32x4_t value, float) noexcept {
    return vcvtnq_s32_f32(vmaxnmq_f32(value, vdupq_n_f32(-1024.0F)));
  }
  static int16x8_t pack_pairs(int32x4_t a, int32x4_t b) noexcept { return vqmovn_high_s32(vqmovn_s32(a), b); }
  /// Adds the zero point, limits to `lo` and 255, and flips.
  static uint8x16_t pack_bytes(int16x8_t a, int16x8_t b, int zero_point, int lo, std::uint8_t flip) noexcept {
    const int16x8_t z = vdupq_n_s16(static_cast<std::int16_t>(zero_point));
    const uint8x16_t bytes = vqmovun_high_s16(vqmovun_s16(vqaddq_s16(a, z)), vqaddq_s16(b, z));
    return veorq_u8(vmaxq_u8(bytes, vdupq_n_u8(static_cast<std::uint8_t>(lo))), vdupq_n_u8(flip));
  }
  static uint8x16_t load_outputs(const std::uint8_t* p, std::int64_t, std::size_t channels, std::size_t,
                                 std::size_t) noexcept {
    return load_bytes(p, channels);
  }
  static void store_pixel(uint8x16_t bytes, std::uint8_t* p, std::size_t channels) noexcept {
    store_bytes(p, channels, bytes);
  }
  static void store_outputs(uint8x16_t bytes, std::uint8_t* p, std::int64_t, std::size_t channels,
                            std::size_t, std::size_t) noexcept {
    store_bytes(p, channels, bytes);
  }
};

}  // namespace
}  // namespace qconv::engines::simd
