#include "engines/native/simd/avx2.hpp"

#include "engines/native/kernels/grouped/body.hpp"

QCONV_DEFINE_GROUPED(avx2, simd::Avx2, 2, 32)
