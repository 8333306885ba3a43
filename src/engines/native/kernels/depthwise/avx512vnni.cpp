#include "engines/native/simd/avx512vnni.hpp"

#include "engines/native/kernels/depthwise/body.hpp"

QCONV_DEFINE_DEPTHWISE(avx512vnni, simd::Avx512Vnni, 8, 64, 4, 1)
