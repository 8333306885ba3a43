#pragma once

#include <string>
#include <vector>

#include "graph/ir.hpp"

namespace qconv::graph {

struct Equalization {
  std::size_t pairs = 0;             ///< of layers whose channels were scaled
  int rounds = 0;                    ///< until nothing moved any more
  std::size_t clips = 0;             ///< limits above, as of a ReLU6, that became a ReLU
  std::vector<std::string> limited;  ///< layers left alone because of such a limit
};

/// Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, section 4.1) on a fused float graph.
/// Between two layers whose result between them nothing else reads, what happens to a channel is positively
/// homogeneous, f(s x) = s f(x): a ReLU, a leaky ReLU, pooling. So channel i may be divided by s_i in the
/// first layer and multiplied by s_i in the second. With r1_i and r2_i the largest magnitudes of the
/// channel's weights in both, s_i = sqrt(r1_i / r2_i) makes them equal. Layers belong to two pairs, so this
/// is repeated until the scales rest.
///
/// Keeps the function up to float rounding; with `replace_clips`, a limit above the 0 of a ReLU is removed
/// first where it stands between two such layers, which keeps it only where the limit was never reached.
Equalization equalize(Graph& graph, bool replace_clips);

}  // namespace qconv::graph
