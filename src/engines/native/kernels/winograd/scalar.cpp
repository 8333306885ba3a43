#include "engines/native/kernels/winograd/body.hpp"
#include "engines/native/simd/scalar_int16.hpp"

QCONV_DEFINE_WINOGRAD(scalar, simd::ScalarInt16, 4, 4, 4)
