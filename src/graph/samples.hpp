#pragma once

#include "graph/executor.hpp"

namespace qconv::graph {

/// Whether a run of `batch` computes each sample by itself, as a run of `single` does: every tensor has the
/// samples along its first dimension, and no operation looks across that. `single` is the plan of the same
/// network for batches of one.
bool samples_are_independent(const Graph& graph, const Plan& batch, const Plan& single);

/// Whether such a batch is better run sample by sample: its tensors leave the second-level cache, those of
/// one sample outweigh the weights, which every sample reads anew, and nothing computes with floats (float
/// libraries bring threads of their own).
bool samples_are_faster_alone(const Graph& graph, const Plan& batch, const Plan& single);

}  // namespace qconv::graph
