#include "engines/native/kernels/depthwise/registry.hpp"

#include <array>

#include "engines/native/kernels/signed_bytes.hpp"
#include "support/cpu.hpp"

namespace qconv::engines::depthwise {

#define QCONV_DEPTHWISE(isa, tile, block, pixels, tap_bytes) \
  void qx8qs8_depthwise_##tile##x##block##c4_##isa(const Args&) noexcept;
#include "engines/native/kernels/kernels.inc"

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_DEPTHWISE(isa, tile, block, pixels, tap_bytes) \
  {Isa::isa,                                                 \
   "qx8qs8_depthwise_" #tile "x" #block "c4_" #isa,          \
   block,                                                    \
   pixels,                                                   \
   tap_bytes,                                                \
   signed_bytes::isa ? -128 : 0,                             \
   &qx8qs8_depthwise_##tile##x##block##c4_##isa},
#include "engines/native/kernels/kernels.inc"
  });
  return kTable;
}

const Kernel& select(Isa isa) {
  for (const Kernel& kernel : kernels()) {
    if (kernel.isa == vector_isa(isa)) return kernel;
  }
  return kernels().front();  // scalar, which every build has
}

}  // namespace qconv::engines::depthwise
