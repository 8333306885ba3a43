// Processors of the avx512vnni tier that also permute bytes across a whole register.
#include <immintrin.h>

#include "engines/native/kernels/rows/body.hpp"

namespace qconv::engines::rows {
namespace {

// Two permutations look up the low and the high half of the map; the top bit of the index chooses.
void lookup_vbmi(const Lookup& args) noexcept {
  const __m512i a = _mm512_loadu_si512(args.map);
  const __m512i b = _mm512_loadu_si512(args.map + 64);
  const __m512i c = _mm512_loadu_si512(args.map + 128);
  const __m512i d = _mm512_loadu_si512(args.map + 192);
  const auto look = [&](__m512i index) {
    const __m512i low = _mm512_permutex2var_epi8(a, index, b);
    const __m512i high = _mm512_permutex2var_epi8(c, index, d);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
  };
  std::int64_t i = 0;
  for (; i + 64 <= args.count; i += 64) _mm512_storeu_si512(args.y + i, look(_mm512_loadu_si512(args.x + i)));
  if (i == args.count) return;
  const __mmask64 rest = ~std::uint64_t{0} >> (64 - (args.count - i));
  _mm512_mask_storeu_epi8(args.y + i, rest, look(_mm512_maskz_loadu_epi8(rest, args.x + i)));
}

}  // namespace
}  // namespace qconv::engines::rows

QCONV_DEFINE_ROWS(avx512vbmi, lookup_vbmi)
