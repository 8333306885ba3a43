#include "engines/native/kernels/depthwise/registry.hpp"

#include <array>

namespace qconv::engines::depthwise {

#define QCONV_DEPTHWISE(isa, outputs, block) \
  void qx8qs8_depthwise_##outputs##x##block##c4_##isa(const Args&) noexcept;
#include "engines/native/kernels/kernels.inc"

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_DEPTHWISE(isa, outputs, block)                            \
  {Isa::isa, "qx8qs8_depthwise_" #outputs "x" #block "c4_" #isa, block, \
   &qx8qs8_depthwise_##outputs##x##block##c4_##isa},
#include "engines/native/kernels/kernels.inc"
  });
  return kTable;
}

const Kernel& select(Isa isa) {
  for (const Kernel& kernel : kernels()) {
    if (kernel.isa == isa) return kernel;
  }
  return kernels().front();  // scalar, which every build has
}

}  // namespace qconv::engines::depthwise
