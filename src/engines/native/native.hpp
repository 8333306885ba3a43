#pragma once

#include <memory>

#include <qconv/cpu.hpp>

#include "engines/engine.hpp"

namespace qconv::engines {

/// The fast engine, on the active instruction set.
const Engine& native();

/// The fast engine on one instruction set, which this processor must support; what tests run side by side.
std::unique_ptr<const Engine> make_native(Isa isa);

}  // namespace qconv::engines
