#pragma once

#include <memory>

#include "engines/engine.hpp"
#include "engines/native/pack.hpp"

namespace qconv::engines {

/// A plan that runs packed weights through the indirect GEMM kernels.
std::unique_ptr<const Prepared> prepare_igemm(std::shared_ptr<const PackedIgemm> weights,
                                              const ConvProblem& problem,
                                              const Requantization& requantization);

}  // namespace qconv::engines
