#include "engines/native/simd/avx512vnni.hpp"

#include "engines/native/kernels/igemm/body.hpp"

QCONV_DEFINE_IGEMM(avx512vnni, simd::Avx512Vnni, 6, 64, 4)
