#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/repair/gram.hpp"

namespace qconv::graph {

/// Integers `q` for the weights `w` of one output channel with scale s, found by coordinate descent on
/// e^T G e with e = w - s q: each in turn is moved to where it is best given the others, until none moves.
/// `q` is where it starts, and the result is never worse by G.
///
/// `matrix` is G, width x width, and `gradient` is G e for the start.
void descend(std::span<const float> matrix, std::span<const float> w, double scale, std::span<std::int8_t> q,
             std::span<float> gradient);

}  // namespace qconv::graph
