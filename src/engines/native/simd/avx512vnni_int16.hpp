#pragma once

#include "engines/native/simd/avx512vnni.hpp"

namespace qconv::engines::simd {
namespace {

/// 32 lanes of 16 bits, and sums of products of pairs of them in 16 lanes of 32 bits. All arithmetic wraps.
struct Avx512VnniInt16 : Avx512Vnni {
  static constexpr std::size_t kShorts = 32;
  using Shorts = __m512i;

  /// Bytes widened, the first `count` of them; zeros beyond.
  template <bool Signed>
  static __m512i load_shorts(const std::uint8_t* p, std::size_t count) noexcept {
    const __m256i bytes = count >= kShorts ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                           : _mm256_maskz_loadu_epi8((1U << count) - 1U, p);
    return Signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
  }
  static void store_shorts(std::int16_t* p, __m512i v) noexcept { _mm512_storeu_si512(p, v); }
  static __m512i set_shorts(std::int16_t v) noexcept { return _mm512_set1_epi16(v); }
  static __m512i add16(__m512i a, __m512i b) noexcept { return _mm512_add_epi16(a, b); }
  static __m512i sub16(__m512i a, __m512i b) noexcept { return _mm512_sub_epi16(a, b); }
  template <int N>
  static __m512i shl16(__m512i a) noexcept {
    return _mm512_slli_epi16(a, N);
  }

  /// The bytes of one vector of channels in four neighbouring pixels, `stride` apart.
  static void store_pixels(std::uint8_t* p, std::int64_t stride, const __m512i (&v)[4],
                           const Range& r) noexcept {
    const __m512i s0 = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), r.zero_point16);
    const __m512i s1 = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), r.zero_point16);
    const __m512i limited = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(s0, s1), r.lo8), r.hi8);
    const __m512i flipped = _mm512_xor_si512(limited, r.flip8);
    // Packing leaves a dword of each pixel in every 128-bit part.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_permutexvar_epi32(order, flipped);
    const auto store = [&](std::int64_t i, __m128i pixel) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i * stride), pixel);
    };
    store(0, _mm512_castsi512_si128(bytes));
    store(1, _mm512_extracti32x4_epi32(bytes, 1));
    store(2, _mm512_extracti32x4_epi32(bytes, 2));
    store(3, _mm512_extracti32x4_epi32(bytes, 3));
  }

  using Pairs = __m512i;
  static __m512i load_pairs(const std::int16_t* p) noexcept { return _mm512_loadu_si512(p); }
  static __m512i broadcast_pair(const std::int16_t* p) noexcept {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  static __m512i dot_pairs(__m512i sum, __m512i a, __m512i w) noexcept {
    return _mm512_dpwssd_epi32(sum, a, w);
  }

  static __m512i zero_sums() noexcept { return _mm512_setzero_si512(); }
  static __m512i set_sums(std::int32_t v) noexcept { return _mm512_set1_epi32(v); }
  static __m512i add32(__m512i a, __m512i b) noexcept { return _mm512_add_epi32(a, b); }
  static __m512i sub32(__m512i a, __m512i b) noexcept { return _mm512_sub_epi32(a, b); }
  /// a * Factor. vpmulld takes longer than products of the halves; the low half is signed, and what that
  /// takes off the high one is the carry of the addition.
  template <std::int32_t Factor>
  static __m512i mul32(__m512i a) noexcept {
    constexpr auto kLow = static_cast<std::int16_t>(Factor);
    constexpr auto kHigh = static_cast<std::uint16_t>((Factor - kLow) >> 16);
    const __m512i sign = _mm512_set1_epi32(0x8000);
    const __m512i halves = _mm512_xor_si512(_mm512_add_epi32(a, sign), sign);
    const __m512i cross = _mm512_madd_epi16(
        halves, _mm512_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(kLow) << 16 | kHigh)));
    return _mm512_dpwssd_epi32(_mm512_slli_epi32(cross, 16), halves, _mm512_set1_epi32(kLow & 0xffff));
  }
  template <int N>
  static __m512i shl32(__m512i a) noexcept {
    return _mm512_slli_epi32(a, N);
  }
  template <int N>
  static __m512i sar32(__m512i a) noexcept {
    return _mm512_srai_epi32(a, N);
  }
};

}  // namespace
}  // namespace qconv::engines::simd
