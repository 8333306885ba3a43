#pragma once

#include <span>

#include <qconv/cpu.hpp>

#include "engines/native/kernels/depthwise/depthwise.hpp"

namespace qconv::engines::depthwise {

/// One row of kernels.inc, with its function.
struct Kernel {
  Isa isa;
  const char* name;         ///< "qx8qs8_depthwise_8x64c4_avx512vnni"
  std::size_t block;        ///< channels of a call
  std::size_t most_pixels;  ///< side by side in a vector, when fewer channels are left
  std::size_t tap_bytes;  ///< in columns and packed weights: 1, or 2 for words of rows 0 and 1, then 2 and 3
  std::int32_t input_bias;  ///< as of igemm::Kernel
  Function run;
};

/// Every depthwise kernel of this build.
std::span<const Kernel> kernels();

/// The kernel for an instruction set.
const Kernel& select(Isa isa);

}  // namespace qconv::engines::depthwise
