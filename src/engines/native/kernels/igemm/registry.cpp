#include "engines/native/kernels/igemm/registry.hpp"

#include <algorithm>
#include <array>

#include "engines/native/kernels/signed_bytes.hpp"

namespace qconv::engines::igemm {

#define QCONV_TILE(family, isa, rows, columns, step)                                \
  void qu8qs8_##family##_##rows##x##columns##c##step##_##isa(const Args&) noexcept; \
  void qs8qs8_##family##_##rows##x##columns##c##step##_##isa(const Args&) noexcept;
#define QCONV_IGEMM(isa, rows, columns, step, vectors) QCONV_TILE(igemm, isa, rows, columns, step)
#define QCONV_GROUPED(isa, rows, columns, vectors, widest) QCONV_TILE(grouped, isa, rows, columns, 4)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_TILE(family, widest, isa, rows, columns, step, vectors) \
  {Isa::isa,                                                          \
   "qx8qs8_" #family "_" #rows "x" #columns "c" #step "_" #isa,       \
   widest,                                                            \
   rows,                                                              \
   columns,                                                           \
   step,                                                              \
   vectors,                                                           \
   signed_bytes::isa ? -128 : 0,                                      \
   &qu8qs8_##family##_##rows##x##columns##c##step##_##isa,            \
   &qs8qs8_##family##_##rows##x##columns##c##step##_##isa},
#define QCONV_IGEMM(isa, rows, columns, step, vectors) QCONV_TILE(igemm, 0, isa, rows, columns, step, vectors)
#define QCONV_GROUPED(isa, rows, columns, vectors, widest) \
  QCONV_TILE(grouped, widest, isa, rows, columns, 4, vectors)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE
  });
  return kTable;
}

std::span<const Kernel> select(Isa isa, bool grouped) {
  const std::span<const Kernel> all = kernels();
  const auto wanted = [&](const Kernel& k) { return k.isa == isa && (k.widest_group > 0) == grouped; };
  const auto begin = std::find_if(all.begin(), all.end(), wanted);
  return {begin, std::find_if_not(begin, all.end(), wanted)};
}

}  // namespace qconv::engines::igemm
