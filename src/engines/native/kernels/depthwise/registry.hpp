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

  /// The channel, within a block, of lane i of the kernel's per-channel arrays: what four in-lane packs to
  /// bytes undo.
  std::size_t channel(std::size_t i) const noexcept {
    const std::size_t lanes = block / 4;
    const std::size_t vector = i / lanes;
    const std::size_t lane = i % lanes;
    return lanes < 4 ? i : lane / 4 * 16 + vector * 4 + lane % 4;
  }
};

/// Every depthwise kernel of this build.
std::span<const Kernel> kernels();

/// The kernel for an instruction set.
const Kernel& select(Isa isa);

}  // namespace qconv::engines::depthwise
