#pragma once

#include "engines/native/simd/avx2.hpp"

namespace qconv::engines::simd {
namespace {

/// 16 lanes of 16 bits, and sums of products of pairs of them in 8 lanes of 32 bits. All arithmetic wraps.
struct Avx2Int16 : Avx2 {
  static constexpr std::size_t kShorts = 16;
  using Shorts = __m256i;

  // Up to 7 bytes.
  static std::uint64_t load_few(const std::uint8_t* p, std::size_t count) noexcept {
    std::uint64_t bytes = 0;
    if ((count & 4) != 0) {
      std::uint32_t word;
      std::memcpy(&word, p, 4);
      bytes = word;
    }
    if ((count & 2) != 0) {
      std::uint16_t word;
      std::memcpy(&word, p + (count & 4), 2);
      bytes |= static_cast<std::uint64_t>(word) << 8 * (count & 4);
    }
    if ((count & 1) != 0) bytes |= static_cast<std::uint64_t>(p[count - 1]) << 8 * (count - 1);
    return bytes;
  }
  /// Bytes widened, the first `count` of them; zeros beyond.
  template <bool Signed>
  static __m256i load_shorts(const std::uint8_t* p, std::size_t count) noexcept {
    __m128i bytes;
    if (count >= kShorts) {
      bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    } else {
      std::uint64_t low = 0;
      if (count >= 8) std::memcpy(&low, p, 8);
      const std::uint64_t rest = load_few(count >= 8 ? p + 8 : p, count % 8);
      bytes = count >= 8 ? _mm_set_epi64x(static_cast<long long>(rest), static_cast<long long>(low))
                         : _mm_cvtsi64_si128(static_cast<long long>(rest));
    }
    return Signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
  }
  static void store_shorts(std::int16_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static __m256i set_shorts(std::int16_t v) noexcept { return _mm256_set1_epi16(v); }
  static __m256i add16(__m256i a, __m256i b) noexcept { return _mm256_add_epi16(a, b); }
  static __m256i sub16(__m256i a, __m256i b) noexcept { return _mm256_sub_epi16(a, b); }
  template <int N>
  static __m256i shl16(__m256i a) noexcept {
    return _mm256_slli_epi16(a, N);
  }

  /// The bytes of one vector of channels in four neighbouring pixels, `stride` apart.
  static void store_pixels(std::uint8_t* p, std::int64_t stride, const __m256i (&v)[4],
                           const Range& r) noexcept {
    const __m256i s0 = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), r.zero_point16);
    const __m256i s1 = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), r.zero_point16);
    const __m256i limited = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(s0, s1), r.lo8), r.hi8);
    const __m256i flipped = _mm256_xor_si256(limited, r.flip8);
    // Packing leaves a dword of each pixel in either half.
    const __m256i bytes = _mm256_permutevar8x32_epi32(flipped, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    const __m128i low = _mm256_castsi256_si128(bytes);
    const __m128i high = _mm256_extracti128_si256(bytes, 1);
    _mm_storeu_si64(p, low);
    _mm_storeu_si64(p + stride, _mm_unpackhi_epi64(low, low));
    _mm_storeu_si64(p + 2 * stride, high);
    _mm_storeu_si64(p + 3 * stride, _mm_unpackhi_epi64(high, high));
  }

  using Pairs = __m256i;
  static __m256i load_pairs(const std::int16_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static __m256i broadcast_pair(const std::int16_t* p) noexcept {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm256_set1_epi32(pair);
  }
  static __m256i dot_pairs(__m256i sum, __m256i a, __m256i w) noexcept {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
  }

  static __m256i zero_sums() noexcept { return _mm256_setzero_si256(); }
  static __m256i set_sums(std::int32_t v) noexcept { return _mm256_set1_epi32(v); }
  static __m256i add32(__m256i a, __m256i b) noexcept { return _mm256_add_epi32(a, b); }
  static __m256i sub32(__m256i a, __m256i b) noexcept { return _mm256_sub_epi32(a, b); }
  template <std::int32_t Factor>
  static __m256i mul32(__m256i a) noexcept {
    return _mm256_mullo_epi32(a, _mm256_set1_epi32(Factor));
  }
  template <int N>
  static __m256i shl32(__m256i a) noexcept {
    return _mm256_slli_epi32(a, N);
  }
  template <int N>
  static __m256i sar32(__m256i a) noexcept {
    return _mm256_srai_epi32(a, N);
  }
};

}  // namespace
}  // namespace qconv::engines::simd
