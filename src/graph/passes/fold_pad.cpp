#include <algorithm>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

bool foldable(const Pad& pad, const Conv& conv) {
  const ConvGeometry& g = conv.geometry;
  if (g.transposed || conv.auto_pad != AutoPad::given) return false;
  if (pad.begin.size() != static_cast<std::size_t>(g.ndim) + 2) return false;
  const auto spatial_only = [](const std::vector<std::int64_t>& values) {
    return values[0] == 0 && values[1] == 0 &&
           std::all_of(values.begin(), values.end(), [](auto v) { return v >= 0; });
  };
  if (!spatial_only(pad.begin) || !spatial_only(pad.end)) return false;
  if (pad.mode == PaddingMode::zeros) return pad.constant == 0 && g.padding_mode == PaddingMode::zeros;
  const Spatial none{0, 0, 0};
  return g.padding_begin == none && g.padding_end == none;
}

}  // namespace

int fold_pad(Graph& graph) {
  const Uses uses(graph);
  int count = 0;
  for (Node& node : graph.nodes) {
    auto* conv = std::get_if<Conv>(&node.op);
    const int producer = conv == nullptr ? -1 : uses.producer(node.inputs[0]);
    if (producer < 0) continue;
    const Node& before = graph.nodes[static_cast<std::size_t>(producer)];
    const auto* pad = std::get_if<Pad>(&before.op);
    if (pad == nullptr || !foldable(*pad, *conv)) continue;
    ConvGeometry& g = conv->geometry;
    if (pad->mode != PaddingMode::zeros) g.padding_mode = pad->mode;
    for (std::size_t d = 0; d < static_cast<std::size_t>(g.ndim); ++d) {
      g.padding_begin[3 - g.ndim + d] += pad->begin[2 + d];
      g.padding_end[3 - g.ndim + d] += pad->end[2 + d];
    }
    node.inputs[0] = before.inputs[0];
    ++count;
  }
  if (count > 0) remove_dead_nodes(graph);
  return count;
}

}  // namespace qconv::graph
