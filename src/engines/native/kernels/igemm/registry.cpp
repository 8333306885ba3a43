#include "engines/native/kernels/igemm/registry.hpp"

#include <algorithm>
#include <array>

#include "engines/native/kernels/signed_bytes.hpp"

namespace qconv::engines::igemm {

#define QCONV_TILE(family, isa, rows, columns)                               \
  void qu8qs8_##family##_##rows##x##columns##c4_##isa(const Args&) noexcept; \
  void qs8qs8_##family##_##rows##x##columns##c4_##isa(const Args&) noexcept;
#define QCONV_IGEMM(isa, rows, columns, vectors) QCONV_TILE(igemm, isa, rows, columns)
#define QCONV_GROUPED(isa, rows, columns, vectors) QCONV_TILE(grouped, isa, rows, columns)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_TILE(family, grouped, isa, rows, columns, vectors) \
  {Isa::isa,                                                     \
   "qx8qs8_" #family "_" #rows "x" #columns "c4_" #isa,          \
   grouped,                                                      \
   rows,                                                         \
   columns,                                                      \
   vectors,                                                      \
   signed_bytes::isa ? -128 : 0,                                 \
   &qu8qs8_##family##_##rows##x##columns##c4_##isa,              \
   &qs8qs8_##family##_##rows##x##columns##c4_##isa},
#define QCONV_IGEMM(isa, rows, columns, vectors) QCONV_TILE(igemm, false, isa, rows, columns, vectors)
#define QCONV_GROUPED(isa, rows, columns, vectors) QCONV_TILE(grouped, true, isa, rows, columns, vectors)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE
  });
  return kTable;
}

std::span<const Kernel> select(Isa isa, bool grouped) {
  const std::span<const Kernel> all = kernels();
  const auto wanted = [&](const Kernel& k) { return k.isa == isa && k.grouped == grouped; };
  const auto begin = std::find_if(all.begin(), all.end(), wanted);
  return {begin, std::find_if_not(begin, all.end(), wanted)};
}

}  // namespace qconv::engines::igemm
