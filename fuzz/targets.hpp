#pragma once

#include <cstddef>
#include <cstdint>

// One entry per reader: gives it any bytes, and returns 0. A reader may refuse them with qconv::Error; any
// other exception, and any answer that does not hold together, ends the program.
#define QCONV_FUZZ_TARGET(name) int fuzz_##name(const std::uint8_t* data, std::size_t size);
#include "targets.inc"
#undef QCONV_FUZZ_TARGET
