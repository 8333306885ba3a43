#pragma once

#include "engines/native/pack_winograd.hpp"

namespace qconv::engines {

/// Whether the Winograd kernels run this problem faster than the indirect GEMM does, by an estimate of both.
bool winograd_is_faster(const PackedWinograd& weights, const ConvProblem& problem);

/// How many tiles to take at once, at most: as many as keep their points and sums in half of the second-level
/// cache, since each block of tiles reads all transformed weights.
std::int64_t winograd_block_tiles(const winograd::Kernel& kernel, const ConvGeometry& geometry);

}  // namespace qconv::engines
