#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "engines/native/kernels/epilogue.hpp"

namespace qconv::engines::simd {
namespace {

/// 8 lanes. Bytes are widened to 16 bits, the even and the odd ones apart, and multiplied by vpmaddwd, which
/// is exact for any bytes; vpmaddubsw would saturate.
struct Avx2 {
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kStepChannels = 4;  // of indirect GEMM, in each lane
  static constexpr bool kSignedBytes = false;
  static constexpr int kSteps = 1;  // that a vector of activations holds
  struct Halves {
    __m256i even, odd;
  };
  using Accumulator = __m256i;
  using Weights = Halves;
  using Bytes = __m256i;

  static __m256i load_sums(const std::int32_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_sums(std::int32_t* p, __m256i sums) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), sums);
  }
  static __m256 load_floats(const float* p) noexcept { return _mm256_loadu_ps(p); }
  static Halves load_weights(const std::int8_t* p) noexcept {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
  }
  // Grouped: a block of channels as it is in memory, and its bytes spread to the lanes that want them.
  template <bool Flip>
  static __m256i load_pixel(const std::uint8_t* p, std::size_t count) noexcept {
    const __m256i a = load_bytes(p, count);
    return Flip ? _mm256_xor_si256(a, _mm256_set1_epi8(static_cast<char>(0x80))) : a;
  }
  static __m256i load_positions(const std::uint8_t* p) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Halves spread(__m256i bytes, __m256i positions) noexcept {
    const __m256i a = _mm256_shuffle_epi8(bytes, positions);
    return {_mm256_and_si256(a, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(a, 8)};
  }
  static __m256i dot(__m256i sum, const Halves& a, const Halves& w) noexcept {
    const __m256i pairs =
        _mm256_add_epi32(_mm256_madd_epi16(a.even, w.even), _mm256_madd_epi16(a.odd, w.odd));
    return _mm256_add_epi32(sum, pairs);
  }

  static __m256i subtract_product(__m256i sum, const std::int32_t* factors, std::int32_t factor) noexcept {
    return _mm256_sub_epi32(sum, _mm256_mullo_epi32(load_sums(factors), _mm256_set1_epi32(factor)));
  }
  static __m256 scale(__m256i sum, __m256 bias, float bias_scale, __m256 multiplier) noexcept {
    return _mm256_mul_ps(_mm256_fmadd_ps(bias, _mm256_set1_ps(bias_scale), _mm256_cvtepi32_ps(sum)),
                         multiplier);
  }
  static __m256 add_integers(__m256 value, __m256i integers, std::int32_t zero_point,
                             float multiplier) noexcept {
    const __m256i centred = _mm256_sub_epi32(integers, _mm256_set1_epi32(zero_point));
    return _mm256_add_ps(value, _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(multiplier)));
  }
  /// NaN becomes `lo`: max and min return their second operand then.
  static __m256 clamp(__m256 value, float lo, float hi) noexcept {
    return _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(lo)), _mm256_set1_ps(hi));
  }
  static __m256i round(__m256 value) noexcept {
    return _mm256_cvtps_epi32(_mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  static constexpr bool kStoresRows = false;
  static constexpr bool kRoundsAll = true;  // whatever fits int32, not only what fits a byte

  // Whole blocks, which nearly all are, in one load.
  template <int N>
  static __m256i load_block_bytes(const std::uint8_t* p, std::size_t count) noexcept {
    if (N == 4 || count < N * kLanes) return load_bytes(p, count);
    const auto* block = reinterpret_cast<const __m128i*>(p);
    return _mm256_castsi128_si256(N == 2 ? _mm_loadu_si128(block) : _mm_loadl_epi64(block));
  }

  // Bytes of a block of N vectors whose channels are in lane order (kernels/lane_order.hpp): loaded, each in
  // a lane of its own, and stored.
  template <int N>
  static void load_block(const std::uint8_t* p, std::size_t count, std::uint8_t flip,
                         __m256i (&to)[N]) noexcept {
    static_assert(N == 1 || N == 2 || N == 4);
    const __m256i bytes =
        _mm256_xor_si256(load_block_bytes<N>(p, count), _mm256_set1_epi8(static_cast<char>(flip)));
    if constexpr (N == 1) {
      to[0] = _mm256_cvtepu8_epi32(_mm256_castsi256_si128(bytes));
    } else {
      // Four dwords of the bytes 4 v to 4 v + 3 of either half; two vectors have but 8 bytes in each.
      const __m256i halves = N == 4 ? bytes : _mm256_permute4x64_epi64(bytes, 0x50);
      constexpr int kZeros = static_cast<int>(0x80808000U);
      const __m256i first =
          _mm256_broadcastsi128_si256(_mm_setr_epi32(kZeros, kZeros + 1, kZeros + 2, kZeros + 3));
      for (int v = 0; v < N; ++v) {
        to[v] = _mm256_shuffle_epi8(halves, _mm256_add_epi32(first, _mm256_set1_epi32(4 * v)));
      }
    }
  }
  struct Range {
    __m256i zero_point16, lo8, hi8, flip8;
    std::size_t count;  // bytes of the block that are stored
  };
  template <int N>
  static Range load_range(const ByteRange& r, std::size_t count) noexcept {
    return {_mm256_set1_epi16(static_cast<short>(r.zero_point)), _mm256_set1_epi8(static_cast<char>(r.lo)),
            _mm256_set1_epi8(static_cast<char>(r.hi)), _mm256_set1_epi8(static_cast<char>(r.flip)), count};
  }
  template <int N>
  static void store_block(std::uint8_t* p, const __m256i (&v)[N], const Range& r) noexcept {
    static_assert(N == 1 || N == 2 || N == 4);
    const __m256i s0 = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[N > 1 ? 1 : 0]), r.zero_point16);
    const __m256i s1 =
        N == 4 ? _mm256_adds_epi16(_mm256_packs_epi32(v[N - 2], v[N - 1]), r.zero_point16) : s0;
    const __m256i halves = _mm256_packus_epi16(s0, s1);
    // Two vectors leave 8 bytes in either half, one leaves 4.
    const __m256i packed =
        N == 4   ? halves
        : N == 2 ? _mm256_permute4x64_epi64(halves, 0x08)
                 : _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4));
    const __m256i limited = _mm256_min_epu8(_mm256_max_epu8(packed, r.lo8), r.hi8);
    const __m256i bytes = _mm256_xor_si256(limited, r.flip8);
    if (r.count < N * kLanes) {
      alignas(32) std::uint8_t array[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(array), bytes);
      std::memcpy(p, array, r.count);
      return;
    }
    if constexpr (N == 4) _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes);
    if constexpr (N == 2) _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
    if constexpr (N == 1) _mm_storeu_si64(p, _mm256_castsi256_si128(bytes));
  }

  static __m256i load_bytes(const std::uint8_t* p, std::size_t count) noexcept {
    if (count >= 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    alignas(32) std::uint8_t bytes[32] = {};
    std::memcpy(bytes, p, count);
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
  }

  // Depthwise columns, see kernels/depthwise/depthwise.hpp. They are kept as words, for vpmaddwd: one stream
  // of rows 0 and 1, one of rows 2 and 3. A vector of bytes holds 32 channels, or 16 of each of two pixels.
  using Pixels = __m256i;
  using Pairs = __m256i;  // 16-bit sums
  struct Taps {
    __m256i rows01, rows23;
  };
  static constexpr std::size_t kStreams = 8;
  static constexpr std::size_t kStreamBytes = 81 * 4 * kLanes;  // depthwise::kStreamColumns
  static constexpr std::size_t kTapBytes = 64;
  static constexpr int kMostPixels = 2;
  static constexpr bool kColumnsInRegisters = false;

  // The words of `count` bytes, at most 8, read as two that overlap.
  static std::uint64_t load_word(const std::uint8_t* p, std::size_t count) noexcept {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    if (count >= 8) {
      std::memcpy(&low, p, 8);
    } else if (count >= 4) {
      std::memcpy(&low, p, 4);
      std::memcpy(&high, p + count - 4, 4);
      low |= high << (count - 4) * 8;
    } else if (count > 0) {
      for (std::size_t i = count; i > 0; --i) low = low << 8 | p[i - 1];
    }
    return low;
  }
  static __m128i load_half(const std::uint8_t* p, std::size_t count) noexcept {
    if (count >= 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const std::uint64_t low = load_word(p, count < 8 ? count : 8);
    const std::uint64_t high = count > 8 ? load_word(p + 8, count - 8) : 0;
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  }
  static void store_half(std::uint8_t* p, std::size_t count, __m128i bytes) noexcept {
    if (count >= 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
    if (count >= 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
      bytes = _mm_unpackhi_epi64(bytes, bytes);
      p += 8;
      count -= 8;
    }
    auto word = static_cast<std::uint64_t>(_mm_cvtsi128_si64(bytes));
    for (; count > 0; --count, word >>= 8) *p++ = static_cast<std::uint8_t>(word);
  }

  template <int Count>
  static __m256i load_pixels(const std::uint8_t* p, std::int64_t step, std::size_t channels) noexcept {
    if constexpr (Count == 1) {
      if (channels >= 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      return _mm256_set_m128i(channels > 16 ? load_half(p + 16, channels - 16) : _mm_setzero_si128(),
                              load_half(p, channels));
    }
    return _mm256_set_m128i(load_half(p + step, channels), load_half(p, channels));
  }
  static __m256i flip(__m256i bytes) noexcept { return _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)); }
  /// Unpacking works within 128-bit lanes, so the channels come out in the order that packing undoes.
  static void store_columns(const __m256i (&rows)[4], std::uint8_t* to, std::size_t stream_bytes) noexcept {
    for (std::size_t pair = 0; pair < 2; ++pair, to += stream_bytes) {
      const __m256i lo = _mm256_unpacklo_epi8(rows[2 * pair], rows[2 * pair + 1]);
      const __m256i hi = _mm256_unpackhi_epi8(rows[2 * pair], rows[2 * pair + 1]);
      const __m256i zero = _mm256_setzero_si256();
      store(to, _mm256_unpacklo_epi8(lo, zero));
      store(to + 2 * stream_bytes, _mm256_unpackhi_epi8(lo, zero));
      store(to + 4 * stream_bytes, _mm256_unpacklo_epi8(hi, zero));
      store(to + 6 * stream_bytes, _mm256_unpackhi_epi8(hi, zero));
    }
  }
  static Taps load_column(const std::uint8_t* p, std::size_t stream_bytes) noexcept {
    return {load(p), load(p + stream_bytes)};
  }
  static Taps load_taps(const std::int8_t* p) noexcept { return {load(p), load(p + 32)}; }
  static __m256i dot_column(__m256i sum, const Taps& a, const Taps& w) noexcept {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a.rows01, w.rows01));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a.rows23, w.rows23));
  }
  static __m256 bit_floats(__m256i bits) noexcept { return _mm256_castsi256_ps(bits); }
  /// Quarter `v` of the bytes, as columns hold it.
  static __m256i widen(__m256i bytes, std::size_t v) noexcept {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i half = v < 2 ? _mm256_unpacklo_epi8(bytes, zero) : _mm256_unpackhi_epi8(bytes, zero);
    return v % 2 == 0 ? _mm256_unpacklo_epi16(half, zero) : _mm256_unpackhi_epi16(half, zero);
  }
  static __m256 add_widened(__m256 value, __m256i addend, std::int32_t zero_point,
                            float multiplier) noexcept {
    const __m256i centred = _mm256_sub_epi32(addend, _mm256_set1_epi32(zero_point));
    return _mm256_add_ps(value, _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(multiplier)));
  }
  /// Limited to `hi`. NaN, and what is too low for an integer, becomes the lowest one.
  static __m256i round_below(__m256 value, float hi) noexcept {
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(hi), value));
  }
  static __m256i pack_pairs(__m256i a, __m256i b) noexcept { return _mm256_packs_epi32(a, b); }
  /// Adds the zero point, limits to `lo` and 255, and flips.
  static __m256i pack_bytes(__m256i a, __m256i b, int zero_point, int lo, std::uint8_t flip) noexcept {
    const __m256i z = _mm256_set1_epi16(static_cast<short>(zero_point));
    const __m256i bytes = _mm256_packus_epi16(_mm256_adds_epi16(a, z), _mm256_adds_epi16(b, z));
    return _mm256_xor_si256(_mm256_max_epu8(bytes, _mm256_set1_epi8(static_cast<char>(lo))),
                            _mm256_set1_epi8(static_cast<char>(flip)));
  }
  /// The first `count` of `pixels` pixels; the others are unspecified.
  static __m256i load_outputs(const std::uint8_t* p, std::int64_t step, std::size_t channels,
                              std::size_t pixels, std::size_t count) noexcept {
    return pixels == 1 ? load_pixels<1>(p, step, channels)
                       : load_pixels<2>(p, count == 2 ? step : 0, channels);
  }
  static void store_pixel(__m256i bytes, std::uint8_t* p, std::size_t channels) noexcept {
    if (channels >= 32) return store(p, bytes);
    store_half(p, channels, _mm256_castsi256_si128(bytes));
    if (channels > 16) store_half(p + 16, channels - 16, _mm256_extracti128_si256(bytes, 1));
  }
  static void store_outputs(__m256i bytes, std::uint8_t* p, std::int64_t step, std::size_t channels,
                            std::size_t pixels, std::size_t count) noexcept {
    if (pixels == 1) return store_pixel(bytes, p, channels);
    store_half(p, channels, _mm256_castsi256_si128(bytes));
    if (count == 2) store_half(p + step, channels, _mm256_extracti128_si256(bytes, 1));
  }

 private:
  static __m256i load(const void* p) noexcept { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store(std::uint8_t* p, __m256i value) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), value);
  }
};

}  // namespace
}  // namespace qconv::engines::simd
