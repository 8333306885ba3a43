#include "engines/native/simd/avx2.hpp"

#include "engines/native/kernels/igemm/body.hpp"

QCONV_DEFINE_IGEMM(avx2, simd::Avx2, 4, 16, 2)
QCONV_DEFINE_IGEMM(avx2, simd::Avx2, 6, 8, 1)
