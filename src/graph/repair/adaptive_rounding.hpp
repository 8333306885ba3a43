#pragma once

#include <map>
#include <string>

#include <qconv/quantize_network.hpp>

#include "graph/ir.hpp"

namespace qconv::graph {

/// Chooses the integers of `weights`, by name of their layer, again: so that the results of each layer on the
/// calibration data differ least from the float ones, in the mean square of each output channel. That is the
/// aim of AdaRound (Nagel et al. 2020, arXiv:2004.10568, section 3); here a descent over the integers
/// themselves solves it. Scales stay. Where that does not make a channel better over all of the data,
/// measured with the layer's own float input, it keeps its integers: no channel gets worse.
///
/// Layers without a Gram (Gram::takes) are left alone. Throws ValueError when the data cannot be had again.
void round_adaptively(std::map<std::string, Tensor, std::less<>>& weights, const Network& network,
                      const BatchSource& batches, const QuantizeOptions& options);

}  // namespace qconv::graph
