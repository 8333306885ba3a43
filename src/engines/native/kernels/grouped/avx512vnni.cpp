#include "engines/native/simd/avx512vnni.hpp"

#include "engines/native/kernels/grouped/body.hpp"

QCONV_DEFINE_GROUPED(avx512vnni, simd::Avx512Vnni, 5, 64)
