#pragma once

#include "engines/engine.hpp"

namespace qconv::engines {

/// The specification: one loop per index, nothing clever. Every other engine must return its bytes.
const Engine& reference();

}  // namespace qconv::engines
