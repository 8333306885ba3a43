#include <qconv/cpu.hpp>

#include "engines/native/kernels/rows/rows.hpp"
#include "support/cpu.hpp"

namespace qconv::engines::rows {

#define QCONV_ROWS(variant, isa, usable)        \
  extern const Kernels unsigned_rows_##variant; \
  extern const Kernels signed_rows_##variant;
#include "engines/native/kernels/kernels.inc"

const Kernels& kernels(bool is_signed) {
  struct Row {
    Isa isa;
    bool usable;
    const Kernels* unsigned_bytes;
    const Kernels* signed_bytes;
  };
  static const Row kTable[]{
#define QCONV_ROWS(variant, isa, usable) {Isa::isa, usable, &unsigned_rows_##variant, &signed_rows_##variant},
#include "engines/native/kernels/kernels.inc"
  };
  const Isa active = vector_isa(active_isa());
  const Row* best = &kTable[0];  // scalar, which every build has
  for (const Row& row : kTable) {
    if (row.isa == active && row.usable) best = &row;
  }
  return is_signed ? *best->signed_bytes : *best->unsigned_bytes;
}

}  // namespace qconv::engines::rows
