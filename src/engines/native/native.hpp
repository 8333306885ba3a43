#pragma once

#include <memory>

#include <qconv/cpu.hpp>

#include "engines/engine.hpp"

namespace qconv::engines {

/// When the Winograd kernels run what they can: where they are the fastest, or what an experiment wants.
enum class WinogradUse { fastest, always, never };

/// The fast engine, on the active instruction set. QCONV_WINOGRAD is 'always' or 'never' for experiments.
const Engine& native();

/// The fast engine on one instruction set, which this processor must support; what tests run side by side.
std::unique_ptr<const Engine> make_native(Isa isa, WinogradUse winograd = WinogradUse::fastest);

}  // namespace qconv::engines
