#include "engines/native/kernels/rows/body.hpp"

QCONV_DEFINE_ROWS(scalar, lookup_bytes)
