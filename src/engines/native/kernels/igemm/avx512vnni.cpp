#include "engines/native/simd/avx512vnni.hpp"

#include "engines/native/kernels/igemm/body.hpp"

QCONV_DEFINE_IGEMM(avx512vnni, simd::Avx512Vnni, 6, 64, 4, 4)
QCONV_DEFINE_IGEMM(avx512vnni, simd::Avx512Vnni, 8, 48, 4, 3)
QCONV_DEFINE_IGEMM(avx512vnni, simd::Avx512Vnni, 8, 32, 4, 2)
QCONV_DEFINE_IGEMM(avx512vnni, simd::Avx512Vnni, 8, 16, 4, 1)
