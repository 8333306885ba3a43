#pragma once

#include <span>
#include <string>

#include <qconv/cpu.hpp>

#include "engines/native/kernels/igemm/igemm.hpp"
#include "engines/native/kernels/lane_order.hpp"

namespace qconv::engines::igemm {

/// One row of kernels.inc, with its functions.
struct Kernel {
  Isa isa;
  const char* name;     ///< "qx8qs8_igemm_6x64c4_avx512vnni"; x stands for u (quint8 input) and s (qint8)
  int widest_group;     ///< of the grouped family: the most channels of a group; else 0
  std::size_t rows;     ///< most output pixels of a tile
  std::size_t columns;  ///< most output channels of a tile
  std::size_t step;     ///< input channels taken at a time: 4 bytes, 2 words, or 64 bytes of a tile register
  std::size_t vectors;  ///< registers that hold them
  std::int32_t
      unsigned_bias;  ///< what its bytes are above unsigned ones: -128 when it multiplies signed ones ...
  std::int32_t signed_bias;  ///< ... for quint8 and for qint8 input
  const TileUnit* unit;      ///< null, but of kernels in tile registers
  Function run_unsigned;     ///< for quint8 input
  Function run_signed;       ///< for qint8 input

  std::size_t lanes() const noexcept { return columns / vectors; }
  std::size_t channel_bytes() const noexcept { return step == 2 ? 2 : 1; }
  /// Where a column of a block is packed, counted in columns.
  std::size_t position(std::size_t column) const noexcept { return channel_lane(column, lanes(), vectors); }
};

/// Every kernel with this contract in this build: indirect GEMM, grouped, and in tile registers.
std::span<const Kernel> kernels();

/// Those of one instruction set and family, widest tile first; scalar's when the set has none of its own. A
/// family that the instruction set lacks is empty.
std::span<const Kernel> select(Isa isa, bool grouped);

/// Those in tile registers: empty, but of amx, and of scalar, which imitates them.
std::span<const Kernel> select_tiles(Isa isa);

}  // namespace qconv::engines::igemm
