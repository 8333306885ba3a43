#include "engines/native/kernels/rows/body.hpp"

QCONV_DEFINE_ROWS(avx2, lookup_bytes)
