#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace qconv::engines::simd {
namespace {

/// 16 lanes; vpdpbusd sums 4 products exactly.
struct Avx512Vnni {
  static constexpr std::size_t kLanes = 16;
  using Accumulator = __m512i;
  using Weights = __m512i;

  static __mmask16 mask(std::size_t count) noexcept { return static_cast<__mmask16>((1U << count) - 1U); }

  static __m512i load_sums(const std::int32_t* p) noexcept { return _mm512_loadu_si512(p); }
  static __m512 load_floats(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static __m512i load_weights(const std::int8_t* p) noexcept { return _mm512_loadu_si512(p); }
  static __m512i broadcast(std::uint32_t word) noexcept { return _mm512_set1_epi32(static_cast<int>(word)); }
  static __m512i dot(__m512i sum, __m512i a, __m512i w) noexcept { return _mm512_dpbusd_epi32(sum, a, w); }

  static __m512i subtract_product(__m512i sum, const std::int32_t* factors, std::int32_t factor) noexcept {
    return _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_loadu_si512(factors), _mm512_set1_epi32(factor)));
  }
  static __m512 scale(__m512i sum, __m512 bias, float bias_scale, __m512 multiplier) noexcept {
    return _mm512_mul_ps(_mm512_fmadd_ps(bias, _mm512_set1_ps(bias_scale), _mm512_cvtepi32_ps(sum)),
                         multiplier);
  }
  static __m512 add_bytes(__m512 value, const std::uint8_t* p, std::size_t count, std::uint8_t flip,
                          std::int32_t zero_point, float multiplier) noexcept {
    const __m128i bytes =
        _mm_xor_si128(_mm_maskz_loadu_epi8(mask(count), p), _mm_set1_epi8(static_cast<char>(flip)));
    const __m512i centred = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(zero_point));
    return _mm512_add_ps(value, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(multiplier)));
  }
  /// NaN becomes `lo`: max and min return their second operand then.
  static __m512 clamp(__m512 value, float lo, float hi) noexcept {
    return _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(lo)), _mm512_set1_ps(hi));
  }
  static __m512i round(__m512 value) noexcept {
    return _mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static void store_bytes(std::uint8_t* p, std::size_t count, __m512i value,
                          std::int32_t zero_point) noexcept {
    const __m512i shifted = _mm512_add_epi32(value, _mm512_set1_epi32(zero_point));
    _mm_mask_storeu_epi8(p, mask(count), _mm512_cvtepi32_epi8(shifted));
  }

  // Depthwise: four pixels of up to 64 channels, byte by byte into dwords. Unpacking works within 128-bit
  // lanes, so the channels come out in the order that packing undoes.
  static __mmask64 wide_mask(std::size_t count) noexcept { return count >= 64 ? ~0ULL : (1ULL << count) - 1; }
  static void interleave(const std::uint8_t* p0, const std::uint8_t* p1, const std::uint8_t* p2,
                         const std::uint8_t* p3, std::size_t count, std::uint8_t flip,
                         std::uint8_t* to) noexcept {
    const __mmask64 m = wide_mask(count);
    const __m512i f = _mm512_set1_epi8(static_cast<char>(flip));
    const __m512i a0 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, p0), f);
    const __m512i a1 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, p1), f);
    const __m512i a2 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, p2), f);
    const __m512i a3 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, p3), f);
    const __m512i lo01 = _mm512_unpacklo_epi8(a0, a1);
    const __m512i hi01 = _mm512_unpackhi_epi8(a0, a1);
    const __m512i lo23 = _mm512_unpacklo_epi8(a2, a3);
    const __m512i hi23 = _mm512_unpackhi_epi8(a2, a3);
    _mm512_storeu_si512(to, _mm512_unpacklo_epi16(lo01, lo23));
    _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi16(lo01, lo23));
    _mm512_storeu_si512(to + 128, _mm512_unpacklo_epi16(hi01, hi23));
    _mm512_storeu_si512(to + 192, _mm512_unpackhi_epi16(hi01, hi23));
  }
  static __m512i load_activations(const std::uint8_t* p) noexcept { return _mm512_loadu_si512(p); }
  static __m512 add_low_bytes(__m512 value, const std::uint8_t* p, std::int32_t zero_point,
                              float multiplier) noexcept {
    const __m512i bytes = _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(0xff));
    const __m512i centred = _mm512_sub_epi32(bytes, _mm512_set1_epi32(zero_point));
    return _mm512_add_ps(value, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(multiplier)));
  }
  /// Values within a byte's range once the zero point is added: signed or not, their low byte is what is
  /// stored.
  static void store_block(std::uint8_t* p, std::size_t count, const __m512i (&v)[4],
                          std::int32_t zero_point) noexcept {
    const __m512i low_byte = _mm512_set1_epi16(0xff);
    const __m512i z = _mm512_set1_epi16(static_cast<short>(zero_point));
    const __m512i s0 = _mm512_and_si512(_mm512_add_epi16(_mm512_packs_epi32(v[0], v[1]), z), low_byte);
    const __m512i s1 = _mm512_and_si512(_mm512_add_epi16(_mm512_packs_epi32(v[2], v[3]), z), low_byte);
    _mm512_mask_storeu_epi8(p, wide_mask(count), _mm512_packus_epi16(s0, s1));
  }
};

}  // namespace
}  // namespace qconv::engines::simd
