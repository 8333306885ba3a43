#include "engines/native/kernels/rows/body.hpp"

QCONV_DEFINE_ROWS(avx512vnni, lookup_bytes)
