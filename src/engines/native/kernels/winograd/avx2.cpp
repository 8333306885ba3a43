#include "engines/native/kernels/winograd/body.hpp"
#include "engines/native/simd/avx2_int16.hpp"

QCONV_DEFINE_WINOGRAD(avx2, simd::Avx2Int16, 6, 16, 2)
