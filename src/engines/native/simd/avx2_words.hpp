#pragma once

#include "engines/native/simd/avx2.hpp"

namespace qconv::engines::simd {
namespace {

/// AVX2 for activations and weights that are 16 bits wide already, two channels to a lane: nothing is left to
/// do between the loads and vpmaddwd. Signed activations were made unsigned when they were widened.
struct Avx2Words : Avx2 {
  static constexpr std::size_t kStepChannels = 2;
  using Weights = __m256i;

  static __m256i load_weights(const std::int8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  template <bool Flip>
  static __m256i broadcast(std::uint32_t word) noexcept {
    return _mm256_set1_epi32(static_cast<int>(word));
  }
  static __m256i dot(__m256i sum, __m256i a, __m256i w) noexcept {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
  }
};

}  // namespace
}  // namespace qconv::engines::simd
