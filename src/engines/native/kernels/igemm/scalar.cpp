#include "engines/native/simd/scalar.hpp"

#include "engines/native/kernels/igemm/body.hpp"

QCONV_DEFINE_IGEMM(scalar, simd::Scalar, 4, 4, 4, 4)
