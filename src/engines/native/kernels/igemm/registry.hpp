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
  const char* name;       ///< "qx8qs8_igemm_6x64c4_avx512vnni"; x stands for u (quint8 input) and s (qint8)
  std::size_t rows;       ///< MR: output pixels of a tile
  std::size_t columns;    ///< NR: output channels of a tile
  std::size_t lanes;      ///< columns are packed in multiples of this
  Function run_unsigned;  ///< for quint8 input
  Function run_signed;    ///< for qint8 input

  /// Where a column of a block of `count` columns is packed: blocks of four vectors are in lane order, which
  /// lets them be stored at once, narrower ones in their own.
  std::size_t position(std::size_t column, std::size_t count) const noexcept {
    return count > 3 * lanes ? channel_lane(column, lanes) : column;
  }
};

/// Every indirect GEMM kernel of this build.
std::span<const Kernel> kernels();

/// The kernel for an instruction set.
const Kernel& select(Isa isa);

}  // namespace qconv::engines::igemm
