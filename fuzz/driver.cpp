// libFuzzer's entry for the target that this file is compiled for.
#include "targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return QCONV_FUZZ_ENTRY(data, size);
}
