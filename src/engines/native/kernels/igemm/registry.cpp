#include "engines/native/kernels/igemm/registry.hpp"

#include <algorithm>
#include <array>

#include "engines/native/kernels/signed_bytes.hpp"
#include "support/cpu.hpp"

namespace qconv::engines::igemm {

#define QCONV_TILE(family, isa, rows, columns, step)                                \
  void qu8qs8_##family##_##rows##x##columns##c##step##_##isa(const Args&) noexcept; \
  void qs8qs8_##family##_##rows##x##columns##c##step##_##isa(const Args&) noexcept;
#define QCONV_IGEMM(isa, rows, columns, step, vectors) QCONV_TILE(igemm, isa, rows, columns, step)
#define QCONV_TILES(isa, rows, columns, vectors) \
  extern const TileUnit unit_##isa;              \
  QCONV_TILE(tiles, isa, rows, columns, 64)
#define QCONV_GROUPED(isa, rows, columns, vectors, widest) QCONV_TILE(grouped, isa, rows, columns, 4)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE

std::span<const Kernel> kernels() {
  static constexpr auto kTable = std::to_array<Kernel>({
#define QCONV_TILE(family, widest, isa, rows, columns, step, vectors, unit) \
  {Isa::isa,                                                                \
   "qx8qs8_" #family "_" #rows "x" #columns "c" #step "_" #isa,             \
   widest,                                                                  \
   rows,                                                                    \
   columns,                                                                 \
   step,                                                                    \
   vectors,                                                                 \
   signed_bytes::isa ? -128 : 0,                                            \
   signed_bytes::isa || (unit) != nullptr ? -128 : 0,                       \
   unit,                                                                    \
   &qu8qs8_##family##_##rows##x##columns##c##step##_##isa,                  \
   &qs8qs8_##family##_##rows##x##columns##c##step##_##isa},
#define QCONV_IGEMM(isa, rows, columns, step, vectors) \
  QCONV_TILE(igemm, 0, isa, rows, columns, step, vectors, nullptr)
#define QCONV_TILES(isa, rows, columns, vectors) \
  QCONV_TILE(tiles, 0, isa, rows, columns, 64, vectors, &unit_##isa)
#define QCONV_GROUPED(isa, rows, columns, vectors, widest) \
  QCONV_TILE(grouped, widest, isa, rows, columns, 4, vectors, nullptr)
#include "engines/native/kernels/kernels.inc"
#undef QCONV_TILE
  });
  return kTable;
}

namespace {

// The table has the kernels of one kind and instruction set side by side.
template <class Wanted>
std::span<const Kernel> run_of(const Wanted& wanted) {
  const std::span<const Kernel> all = kernels();
  const auto begin = std::find_if(all.begin(), all.end(), wanted);
  return {begin, std::find_if_not(begin, all.end(), wanted)};
}

}  // namespace

std::span<const Kernel> select(Isa isa, bool grouped) {
  return run_of([&](const Kernel& k) {
    return k.isa == vector_isa(isa) && k.unit == nullptr && (k.widest_group > 0) == grouped;
  });
}

std::span<const Kernel> select_tiles(Isa isa) {
  return run_of([&](const Kernel& k) { return k.isa == isa && k.unit != nullptr; });
}

}  // namespace qconv::engines::igemm
