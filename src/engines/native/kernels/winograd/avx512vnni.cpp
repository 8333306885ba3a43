#include "engines/native/kernels/winograd/body.hpp"
#include "engines/native/simd/avx512vnni_int16.hpp"

QCONV_DEFINE_WINOGRAD(avx512vnni, simd::Avx512VnniInt16, 6, 64, 4)
