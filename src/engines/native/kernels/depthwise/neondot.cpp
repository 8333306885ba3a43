#include "engines/native/simd/neondot.hpp"

#include "engines/native/kernels/depthwise/body.hpp"

QCONV_DEFINE_DEPTHWISE(neondot, simd::NeonDot, 8, 16, 1, 1)
