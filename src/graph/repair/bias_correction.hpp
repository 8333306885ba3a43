#pragma once

#include <qconv/quantize_network.hpp>

#include "graph/ir.hpp"

namespace qconv::graph {

/// Empirical bias correction (Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D): rounding the
/// weights shifts the mean of a channel, E[q] - E[y] over the data, which the bias takes back.
///
/// `graph` is what insert_qdq made of `network`, before lower_qdq. Layers are corrected in the order in which
/// they run, each behind layers that are corrected already; those that do not lie behind each other, at once.
/// The means are those before a ReLU or another limit. Throws ValueError when the data cannot be had again.
void correct_biases(Graph& graph, const Network& network, const BatchSource& batches,
                    const QuantizeOptions& options);

/// The layers of a graph with Quantize and Dequantize nodes whose weight is int8, by their depth: layer i of
/// a list lies behind none of the same list. Indices of nodes.
std::vector<std::vector<std::size_t>> layers_by_depth(const Graph& graph);

}  // namespace qconv::graph
