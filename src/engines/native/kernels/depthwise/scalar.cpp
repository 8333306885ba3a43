#include "engines/native/simd/scalar.hpp"

#include "engines/native/kernels/depthwise/body.hpp"

QCONV_DEFINE_DEPTHWISE(scalar, simd::Scalar, 1, 4, 1, 1)
