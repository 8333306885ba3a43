#pragma once

#include <memory>

#include <qconv/cpu.hpp>

#include "engines/engine.hpp"

namespace qconv::engines {

/// When kernels run what they can: where they are the fastest, or what an experiment wants.
enum class Use { fastest, always, never };

/// Kernels that others may replace.
struct KernelUse {
  Use winograd = Use::fastest;
  Use tiles = Use::fastest;
};

/// The fast engine, on the active instruction set. QCONV_WINOGRAD and QCONV_TILES are 'always' or 'never' for
/// experiments.
const Engine& native();

/// The fast engine on one instruction set, which this processor must support; what tests run side by side.
std::unique_ptr<const Engine> make_native(Isa isa, KernelUse use = {});

}  // namespace qconv::engines
