#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "engines/native/kernels/epilogue.hpp"

namespace qconv::engines::simd {
namespace {

/// 16 lanes; vpdpbusd sums 4 products exactly.
struct Avx512Vnni {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kStepChannels = 4;  // of indirect GEMM, in each lane
  static constexpr bool kSignedBytes = false;
  static constexpr int kSteps = 1;  // that a vector of activations holds
  using Accumulator = __m512i;
  using Weights = __m512i;
  using Bytes = __m512i;

  static __mmask16 mask(std::size_t count) noexcept { return static_cast<__mmask16>((1U << count) - 1U); }

  static __m512i load_sums(const std::int32_t* p) noexcept { return _mm512_loadu_si512(p); }
  static void store_sums(std::int32_t* p, __m512i sums) noexcept { _mm512_storeu_si512(p, sums); }
  static __m512 load_floats(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static __m512i load_weights(const std::int8_t* p) noexcept { return _mm512_loadu_si512(p); }
  template <bool Flip>
  static __m512i broadcast(std::uint32_t word) noexcept {
    const __m512i a = _mm512_set1_epi32(static_cast<int>(word));
    return Flip ? _mm512_xor_si512(a, _mm512_set1_epi8(static_cast<char>(0x80))) : a;
  }
  // Grouped: a block of channels as it is in memory, and its bytes spread to the lanes that want them.
  template <bool Flip>
  static __m512i load_pixel(const std::uint8_t* p, std::size_t count) noexcept {
    const __m512i a = count >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(wide_mask(count), p);
    return Flip ? _mm512_xor_si512(a, _mm512_set1_epi8(static_cast<char>(0x80))) : a;
  }
  static __m512i load_positions(const std::uint8_t* p) noexcept {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static __m512i spread(__m512i bytes, __m512i positions) noexcept {
    return _mm512_shuffle_epi8(bytes, positions);
  }
  static __m512i dot(__m512i sum, __m512i a, __m512i w) noexcept { return _mm512_dpbusd_epi32(sum, a, w); }

  static __m512i subtract_product(__m512i sum, const std::int32_t* factors, std::int32_t factor) noexcept {
    return _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_loadu_si512(factors), _mm512_set1_epi32(factor)));
  }
  static __m512 scale(__m512i sum, __m512 bias, float bias_scale, __m512 multiplier) noexcept {
    return _mm512_mul_ps(_mm512_fmadd_ps(bias, _mm512_set1_ps(bias_scale), _mm512_cvtepi32_ps(sum)),
                         multiplier);
  }
  static __m512 add_integers(__m512 value, __m512i integers, std::int32_t zero_point,
                             float multiplier) noexcept {
    const __m512i centred = _mm512_sub_epi32(integers, _mm512_set1_epi32(zero_point));
    return _mm512_add_ps(value, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(multiplier)));
  }
  /// NaN becomes `lo`: max and min return their second operand then.
  static __m512 clamp(__m512 value, float lo, float hi) noexcept {
    return _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(lo)), _mm512_set1_ps(hi));
  }
  static __m512i round(__m512 value) noexcept {
    return _mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  static constexpr bool kRoundsAll = true;  // whatever fits int32, not only what fits a byte

  // Bytes of a block of N vectors whose channels are in lane order (kernels/lane_order.hpp): loaded, each in
  // a lane of its own, and stored.
  template <int N>
  static void load_block(const std::uint8_t* p, std::size_t count, std::uint8_t flip,
                         __m512i (&to)[N]) noexcept {
    const __m512i bytes = _mm512_xor_si512(_mm512_maskz_loadu_epi8(wide_mask(count), p),
                                           _mm512_set1_epi8(static_cast<char>(flip)));
    if constexpr (N == 4) {
      for (int v = 0; v < 4; ++v) to[v] = _mm512_shuffle_epi8(bytes, dwords_of_bytes(4 * v));
    }
    if constexpr (N == 3) {
      to[0] = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes));
      to[1] = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 1));
      to[2] = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 2));
    }
    if constexpr (N == 2) {
      const __m512i pairs = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), bytes);
      for (int v = 0; v < 2; ++v) to[v] = _mm512_shuffle_epi8(pairs, dwords_of_bytes(4 * v));
    }
    if constexpr (N == 1) to[0] = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes));
  }
  // A ByteRange in the widths that the stores of N vectors need.
  struct Range {
    __m512i zero_point16, lo8, hi8, flip8;  // of three and four vectors
    __m512i lo16, hi16;                     // of two
    __m512i zero_point32, lo32, hi32;       // of one
    __mmask64 bytes;                        // those of the block that are stored
    bool all_bytes;                         // the limits are those of unsigned bytes
  };
  template <int N>
  static Range load_range(const ByteRange& r, std::size_t count) noexcept {
    Range range;
    range.bytes = wide_mask(count);
    range.all_bytes = r.lo == 0 && r.hi == 0xff && r.flip == 0;
    range.zero_point16 = _mm512_set1_epi16(static_cast<short>(r.zero_point));
    range.flip8 = _mm512_set1_epi8(static_cast<char>(r.flip));
    range.lo8 = _mm512_set1_epi8(static_cast<char>(r.lo));
    range.hi8 = _mm512_set1_epi8(static_cast<char>(r.hi));
    range.lo16 = _mm512_set1_epi16(r.lo);
    range.hi16 = _mm512_set1_epi16(r.hi);
    range.zero_point32 = _mm512_set1_epi32(r.zero_point);
    range.lo32 = _mm512_set1_epi32(r.lo);
    range.hi32 = _mm512_set1_epi32(r.hi);
    return range;
  }
  // Limited bytes of four vectors; each 128-bit part has four bytes of every one.
  static __m512i pack_block(__m512i v0, __m512i v1, __m512i v2, __m512i v3, const Range& r) noexcept {
    const __m512i s0 = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), r.zero_point16);
    const __m512i s1 = _mm512_adds_epi16(_mm512_packs_epi32(v2, v3), r.zero_point16);
    const __m512i bytes = _mm512_packus_epi16(s0, s1);
    if (r.all_bytes) return bytes;
    return _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, r.lo8), r.hi8), r.flip8);
  }
  // The permutation that puts the bytes of each of them together.
  static __m512i vectors_in_order() noexcept {
    return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  }
  template <int N>
  static void store_block(std::uint8_t* p, const __m512i (&v)[N], const Range& r) noexcept {
    if constexpr (N == 3 || N == 4) {
      const __m512i mixed = pack_block(v[0], v[1], v[2], v[N - 1], r);
      _mm512_mask_storeu_epi8(p, r.bytes,
                              N == 4 ? mixed : _mm512_permutexvar_epi32(vectors_in_order(), mixed));
    }
    if constexpr (N == 2) {
      const __m512i s = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), r.zero_point16);
      const __m512i limited = _mm512_min_epi16(_mm512_max_epi16(s, r.lo16), r.hi16);
      const __m256i bytes = _mm256_xor_si256(_mm512_cvtepi16_epi8(limited), _mm512_castsi512_si256(r.flip8));
      _mm256_mask_storeu_epi8(p, static_cast<__mmask32>(r.bytes), bytes);
    }
    if constexpr (N == 1) {
      const __m512i shifted = _mm512_add_epi32(v[0], r.zero_point32);
      const __m512i limited = _mm512_min_epi32(_mm512_max_epi32(shifted, r.lo32), r.hi32);
      const __m128i bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(limited), _mm512_castsi512_si128(r.flip8));
      _mm_mask_storeu_epi8(p, static_cast<__mmask16>(r.bytes), bytes);
    }
  }
  // Two rows of two vectors, or four of one, stored with the instructions of four vectors.
  static constexpr bool kStoresRows = true;
  template <int N>
  static void store_rows(std::uint8_t* p, const std::int64_t* offsets, const __m512i (&v)[4],
                         const Range& r) noexcept {
    const __m512i mixed = pack_block(v[0], v[1], v[2], v[3], r);
    if constexpr (N == 2) {
      const __m512i rows = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), mixed);
      const __m256i parts[2] = {_mm512_castsi512_si256(rows), _mm512_extracti64x4_epi64(rows, 1)};
      for (int i = 0; i < 2; ++i) {
        _mm256_mask_storeu_epi8(p + offsets[i], static_cast<__mmask32>(r.bytes), parts[i]);
      }
    } else {
      const __m512i rows = _mm512_permutexvar_epi32(vectors_in_order(), mixed);
      const __m128i parts[4] = {_mm512_castsi512_si128(rows), _mm512_extracti32x4_epi32(rows, 1),
                                _mm512_extracti32x4_epi32(rows, 2), _mm512_extracti32x4_epi32(rows, 3)};
      for (int i = 0; i < 4; ++i) {
        _mm_mask_storeu_epi8(p + offsets[i], static_cast<__mmask16>(r.bytes), parts[i]);
      }
    }
  }
  // A shuffle that makes, in each 128-bit part, four dwords of the bytes from `first` on.
  static __m512i dwords_of_bytes(int first) noexcept {
    constexpr int kZeros = static_cast<int>(0x80808000U);
    return _mm512_broadcast_i32x4(
        _mm_setr_epi32(kZeros + first, kZeros + first + 1, kZeros + first + 2, kZeros + first + 3));
  }

  static __mmask64 wide_mask(std::size_t count) noexcept { return count >= 64 ? ~0ULL : (1ULL << count) - 1; }
  // Depthwise columns, see kernels/depthwise/depthwise.hpp. A vector of bytes holds a block of channels, or
  // half or a quarter of one of each of a few pixels, `step` bytes apart in memory.
  using Pixels = __m512i;
  using Pairs = __m512i;  // 16-bit sums
  using Taps = __m512i;
  static constexpr std::size_t kStreams = 4;
  static constexpr std::size_t kStreamBytes = 81 * 4 * kLanes;  // depthwise::kStreamColumns
  static constexpr std::size_t kTapBytes = 64;
  static constexpr int kMostPixels = 4;
  static constexpr bool kColumnsInRegisters = true;

  /// Pixel i is at at(i).
  template <int Count, class At>
  static __m512i load_pixels(const At& at, std::size_t channels) noexcept {
    if constexpr (Count == 1) return _mm512_maskz_loadu_epi8(wide_mask(channels), at(0));
    const auto m = static_cast<__mmask32>(wide_mask(channels));
    if constexpr (Count == 2) {
      return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(m, at(0))),
                                _mm256_maskz_loadu_epi8(m, at(1)), 1);
    }
    const auto load = [&](std::int64_t i) { return _mm_maskz_loadu_epi8(static_cast<__mmask16>(m), at(i)); };
    __m512i v = _mm512_castsi128_si512(load(0));
    v = _mm512_inserti32x4(v, load(1), 1);
    v = _mm512_inserti32x4(v, load(2), 2);
    return _mm512_inserti32x4(v, load(3), 3);
  }
  template <int Count>
  static __m512i load_pixels(const std::uint8_t* p, std::int64_t step, std::size_t channels) noexcept {
    return load_pixels<Count>([&](std::int64_t i) { return p + i * step; }, channels);
  }
  static __m512i flip(__m512i bytes) noexcept { return _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)); }
  /// Unpacking works within 128-bit lanes, so the channels come out in the order that packing undoes.
  static void make_column(const __m512i (&rows)[4], __m512i (&column)[4]) noexcept {
    const __m512i lo01 = _mm512_unpacklo_epi8(rows[0], rows[1]);
    const __m512i hi01 = _mm512_unpackhi_epi8(rows[0], rows[1]);
    const __m512i lo23 = _mm512_unpacklo_epi8(rows[2], rows[3]);
    const __m512i hi23 = _mm512_unpackhi_epi8(rows[2], rows[3]);
    column[0] = _mm512_unpacklo_epi16(lo01, lo23);
    column[1] = _mm512_unpackhi_epi16(lo01, lo23);
    column[2] = _mm512_unpacklo_epi16(hi01, hi23);
    column[3] = _mm512_unpackhi_epi16(hi01, hi23);
  }
  static void store_columns(const __m512i (&rows)[4], std::uint8_t* to, std::size_t stream_bytes) noexcept {
    __m512i column[4];
    make_column(rows, column);
    for (std::size_t v = 0; v < 4; ++v) _mm512_storeu_si512(to + v * stream_bytes, column[v]);
  }
  static __m512i load_column(const std::uint8_t* p, std::size_t) noexcept { return _mm512_loadu_si512(p); }
  static __m512i load_taps(const std::int8_t* p) noexcept { return _mm512_loadu_si512(p); }
  static __m512i dot_column(__m512i sum, __m512i a, __m512i w) noexcept {
    return _mm512_dpbusd_epi32(sum, a, w);
  }
  static __m512 bit_floats(__m512i bits) noexcept { return _mm512_castsi512_ps(bits); }
  /// Quarter `v` of the bytes, as columns hold it.
  static __m512i widen(__m512i bytes, std::size_t v) noexcept {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i half = v < 2 ? _mm512_unpacklo_epi8(bytes, zero) : _mm512_unpackhi_epi8(bytes, zero);
    return v % 2 == 0 ? _mm512_unpacklo_epi16(half, zero) : _mm512_unpackhi_epi16(half, zero);
  }
  static __m512 add_widened(__m512 value, __m512i addend, std::int32_t zero_point,
                            float multiplier) noexcept {
    const __m512i centred = _mm512_sub_epi32(addend, _mm512_set1_epi32(zero_point));
    return _mm512_add_ps(value, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(multiplier)));
  }
  /// Limited to `hi`. NaN, and what is too low for an integer, becomes the lowest one.
  static __m512i round_below(__m512 value, float hi) noexcept {
    return round(_mm512_min_ps(_mm512_set1_ps(hi), value));
  }
  static __m512i pack_pairs(__m512i a, __m512i b) noexcept { return _mm512_packs_epi32(a, b); }
  /// Adds the zero point, limits to `lo` and 255, and flips.
  static __m512i pack_bytes(__m512i a, __m512i b, int zero_point, int lo, std::uint8_t flip) noexcept {
    const __m512i z = _mm512_set1_epi16(static_cast<short>(zero_point));
    const __m512i bytes = _mm512_packus_epi16(_mm512_adds_epi16(a, z), _mm512_adds_epi16(b, z));
    return _mm512_xor_si512(_mm512_max_epu8(bytes, _mm512_set1_epi8(static_cast<char>(lo))),
                            _mm512_set1_epi8(static_cast<char>(flip)));
  }
  /// The first `count` of `pixels` pixels; the others are zero.
  static __m512i load_outputs(const std::uint8_t* p, std::int64_t step, std::size_t channels,
                              std::size_t pixels, std::size_t count) noexcept {
    if (pixels == 1) return load_pixels<1>(p, step, channels);
    const auto load = [&](std::size_t i) {
      const __mmask32 m = i < count ? static_cast<__mmask32>(wide_mask(channels)) : 0;
      return _mm256_maskz_loadu_epi8(m, p + static_cast<std::int64_t>(i) * step);
    };
    if (pixels == 2) return _mm512_inserti64x4(_mm512_castsi256_si512(load(0)), load(1), 1);
    __m512i v = _mm512_castsi256_si512(load(0));
    v = _mm512_inserti32x4(v, _mm256_castsi256_si128(load(1)), 1);
    v = _mm512_inserti32x4(v, _mm256_castsi256_si128(load(2)), 2);
    return _mm512_inserti32x4(v, _mm256_castsi256_si128(load(3)), 3);
  }
  template <int Count, class At>
  static void store_pixels(__m512i bytes, const At& at, std::size_t channels) noexcept {
    const __mmask64 m = wide_mask(channels);
    if constexpr (Count == 1) _mm512_mask_storeu_epi8(at(0), m, bytes);
    if constexpr (Count == 2) {
      _mm256_mask_storeu_epi8(at(0), static_cast<__mmask32>(m), _mm512_castsi512_si256(bytes));
      _mm256_mask_storeu_epi8(at(1), static_cast<__mmask32>(m), _mm512_extracti64x4_epi64(bytes, 1));
    }
    if constexpr (Count == 4) {
      const auto few = static_cast<__mmask16>(m);
      _mm_mask_storeu_epi8(at(0), few, _mm512_castsi512_si128(bytes));
      _mm_mask_storeu_epi8(at(1), few, _mm512_extracti32x4_epi32(bytes, 1));
      _mm_mask_storeu_epi8(at(2), few, _mm512_extracti32x4_epi32(bytes, 2));
      _mm_mask_storeu_epi8(at(3), few, _mm512_extracti32x4_epi32(bytes, 3));
    }
  }
  static void store_pixel(__m512i bytes, std::uint8_t* p, std::size_t channels) noexcept {
    _mm512_mask_storeu_epi8(p, wide_mask(channels), bytes);
  }
  static void store_outputs(__m512i bytes, std::uint8_t* p, std::int64_t step, std::size_t channels,
                            std::size_t pixels, std::size_t count) noexcept {
    // Pixels of whole parts of the vector, side by side in memory.
    if (pixels == 1 || (channels * pixels == 64 && static_cast<std::size_t>(step) == channels)) {
      _mm512_mask_storeu_epi8(p, wide_mask(channels * count), bytes);
      return;
    }
    const auto m = static_cast<__mmask32>(wide_mask(channels));
    if (pixels == 2) {
      _mm256_mask_storeu_epi8(p, m, _mm512_castsi512_si256(bytes));
      if (count == 2) _mm256_mask_storeu_epi8(p + step, m, _mm512_extracti64x4_epi64(bytes, 1));
      return;
    }
    const auto few = static_cast<__mmask16>(m);
    _mm_mask_storeu_epi8(p, few, _mm512_castsi512_si128(bytes));
    if (count >= 2) _mm_mask_storeu_epi8(p + step, few, _mm512_extracti32x4_epi32(bytes, 1));
    if (count >= 3) _mm_mask_storeu_epi8(p + 2 * step, few, _mm512_extracti32x4_epi32(bytes, 2));
    if (count >= 4) _mm_mask_storeu_epi8(p + 3 * step, few, _mm512_extracti32x4_epi32(bytes, 3));
  }
};

}  // namespace
}  // namespace qconv::engines::simd
