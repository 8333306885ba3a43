#include "engines/native/kernels/igemm/body.hpp"
#include "engines/native/simd/avx2_words.hpp"

QCONV_DEFINE_IGEMM(avx2, simd::Avx2Words, 6, 16, 2, 2)
QCONV_DEFINE_IGEMM(avx2, simd::Avx2Words, 8, 8, 2, 1)
