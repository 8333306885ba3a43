#pragma once

#include <span>

#include <qconv/cpu.hpp>

#include "engines/native/kernels/depthwise/depthwise.hpp"

namespace qconv::engines::depthwise {

/// One row of kernels.inc, with its function.
struct Kernel {
  Isa isa;
  const char* name;   ///< "qx8qs8_depthwise_4x64c4_avx512vnni"
  std::size_t block;  ///< channels of a call
  Function run;
};

/// Every depthwise kernel of this build.
std::span<const Kernel> kernels();

/// The kernel for an instruction set.
const Kernel& select(Isa isa);

}  // namespace qconv::engines::depthwise
