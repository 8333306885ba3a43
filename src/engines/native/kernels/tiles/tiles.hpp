#pragma once

#include "engines/native/kernels/tile.hpp"

/// Indirect GEMM in registers that hold a matrix each, tile registers: the contract is igemm.hpp's, with
/// Args::runs. A file defines `begin`, `end` and `gather` of its TileUnit, and run<Vectors, Signed>(args).

namespace qconv::engines::igemm {
namespace {

// A tile's sums, [rows][Vectors * lanes], become outputs, but for the rows that are none.
template <class V, int Vectors>
void finish_spans(const Args& args, std::size_t tile, const std::int32_t* sums) noexcept {
  Args part = args;
  for (std::size_t i = 0; i < args.span_count; ++i) {
    const RowSpan& span = args.spans[i];
    part.rows = span.count;
    if (args.row_sums != nullptr) part.row_sums = args.row_sums + span.first;
    finish_stored<V, Vectors>(part, tile, sums + span.first * static_cast<std::size_t>(Vectors) * V::kLanes);
    part.output_offsets += span.count;
  }
}

}  // namespace
}  // namespace qconv::engines::igemm

/// Defines the TileUnit of an instruction set.
#define QCONV_DEFINE_TILE_UNIT(isa) \
  extern const TileUnit unit_##isa; \
  const TileUnit unit_##isa{begin, end, gather};

/// Defines the two functions of one row of kernels.inc: unsigned and signed input.
#define QCONV_DEFINE_TILES(isa, rows, columns, vectors)                                                     \
  void qu8qs8_tiles_##rows##x##columns##c64_##isa(const Args& args) noexcept { run<vectors, false>(args); } \
  void qs8qs8_tiles_##rows##x##columns##c64_##isa(const Args& args) noexcept { run<vectors, true>(args); }
