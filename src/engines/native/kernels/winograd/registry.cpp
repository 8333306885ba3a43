#include "engines/native/kernels/winograd/registry.hpp"

#include <array>

namespace qconv::engines::winograd {

#define QCONV_WINOGRAD(isa, rows, columns, vectors) \
  extern const Steps qx8qs8_winograd_##rows##x##columns##c2_##isa;
#include "engines/native/kernels/kernels.inc"

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_WINOGRAD(isa, rows, columns, vectors)                                            \
  {Isa::isa, "qx8qs8_winograd_" #rows "x" #columns "c2_" #isa, columns, (columns) / (vectors), \
   &qx8qs8_winograd_##rows##x##columns##c2_##isa},
#include "engines/native/kernels/kernels.inc"
  });
  return kTable;
}

const Kernel* select(Isa isa) {
  for (const Kernel& kernel : kernels()) {
    if (kernel.isa == isa) return &kernel;
  }
  return nullptr;
}

}  // namespace qconv::engines::winograd
