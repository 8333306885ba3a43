#pragma once

#include <memory>

#include "engines/floating/float_plan.hpp"

namespace qconv::engines {

/// Plain loops for one input and one output channel per group, transposed or not: the vectorizer works along
/// the channels, which lie side by side.
std::unique_ptr<const FloatPlan> prepare_plain_depthwise(const FloatProblem& problem, const float* weight,
                                                         const float* bias);

}  // namespace qconv::engines
