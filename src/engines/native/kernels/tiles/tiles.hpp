#pragma once

#include "engines/native/kernels/tile.hpp"

/// Indirect GEMM in registers that hold a matrix each, tile registers: the contract is igemm.hpp's, with
/// Args::runs. A file defines `begin`, `end` and `gather` of its TileUnit, and run<Vectors, Signed>(args).

/// Defines the TileUnit of an instruction set.
#define QCONV_DEFINE_TILE_UNIT(isa) \
  extern const TileUnit unit_##isa; \
  const TileUnit unit_##isa{begin, end, gather};

/// Defines the two functions of one row of kernels.inc: unsigned and signed input.
#define QCONV_DEFINE_TILES(isa, rows, columns, vectors)                                                     \
  void qu8qs8_tiles_##rows##x##columns##c64_##isa(const Args& args) noexcept { run<vectors, false>(args); } \
  void qs8qs8_tiles_##rows##x##columns##c64_##isa(const Args& args) noexcept { run<vectors, true>(args); }
