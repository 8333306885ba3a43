#include "engines/native/kernels/igemm/registry.hpp"

#include <array>

namespace qconv::engines::igemm {

#define QCONV_IGEMM(isa, rows, columns, vectors)                        \
  void qu8qs8_igemm_##rows##x##columns##c4_##isa(const Args&) noexcept; \
  void qs8qs8_igemm_##rows##x##columns##c4_##isa(const Args&) noexcept;
#include "engines/native/kernels/kernels.inc"

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_IGEMM(isa, rows, columns, vectors)  \
  {Isa::isa,                                      \
   "qx8qs8_igemm_" #rows "x" #columns "c4_" #isa, \
   rows,                                          \
   columns,                                       \
   columns / vectors,                             \
   &qu8qs8_igemm_##rows##x##columns##c4_##isa,    \
   &qs8qs8_igemm_##rows##x##columns##c4_##isa},
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

}  // namespace qconv::engines::igemm
