#include "engines/native/simd/neondot.hpp"

#include "engines/native/kernels/grouped/body.hpp"

QCONV_DEFINE_GROUPED(neondot, simd::NeonDot, 5, 16)
