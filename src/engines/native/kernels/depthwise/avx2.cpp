#include "engines/native/simd/avx2.hpp"

#include "engines/native/kernels/depthwise/body.hpp"

QCONV_DEFINE_DEPTHWISE(avx2, simd::Avx2, 2, 32, 2, 2)
