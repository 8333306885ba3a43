#pragma once

#include <memory>

#include "engines/engine.hpp"
#include "engines/native/pack_winograd.hpp"

namespace qconv::engines {

/// A plan that runs packed weights through the Winograd kernels.
std::unique_ptr<const Prepared> prepare_winograd(std::shared_ptr<const PackedWinograd> weights,
                                                 const ConvProblem& problem,
                                                 const Requantization& requantization);

}  // namespace qconv::engines
