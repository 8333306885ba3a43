#include "engines/native/simd/neondot.hpp"

#include "engines/native/kernels/igemm/body.hpp"

QCONV_DEFINE_IGEMM(neondot, simd::NeonDot, 6, 16, 4, 4)
QCONV_DEFINE_IGEMM(neondot, simd::NeonDot, 7, 12, 4, 3)
QCONV_DEFINE_IGEMM(neondot, simd::NeonDot, 8, 8, 4, 2)
QCONV_DEFINE_IGEMM(neondot, simd::NeonDot, 12, 4, 4, 1)
