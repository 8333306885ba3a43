#pragma once

#include <memory>

#include "engines/engine.hpp"
#include "engines/native/pack_depthwise.hpp"

namespace qconv::engines {

/// A plan that runs packed weights through the depthwise kernels.
std::unique_ptr<const Prepared> prepare_depthwise(std::shared_ptr<const PackedDepthwise> weights,
                                                  const ConvProblem& problem,
                                                  const Requantization& requantization);

}  // namespace qconv::engines
