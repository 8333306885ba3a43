#pragma once

#include <span>

#include <qconv/cpu.hpp>

#include "engines/native/kernels/winograd/winograd.hpp"

namespace qconv::engines::winograd {

/// One row of kernels.inc, with its steps.
struct Kernel {
  Isa isa;
  const char* name;     ///< "qx8qs8_winograd_6x64c2_avx512vnni": tiles by columns, two channels at a time
  std::size_t columns;  ///< output channels of a panel, at most
  std::size_t lanes;    ///< columns are packed in multiples of this
  const Steps* steps;
};

/// Every Winograd kernel of this build.
std::span<const Kernel> kernels();

/// The kernel for an instruction set; null where there is none, since another family is faster.
const Kernel* select(Isa isa);

}  // namespace qconv::engines::winograd
