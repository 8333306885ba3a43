#include <algorithm>
#include <cmath>

#include "graph/infer.hpp"
#include "graph/passes/passes.hpp"
#include "support/check.hpp"

namespace qconv::graph {

void infer_shapes(Graph& graph) {
  for (const Node& node : graph.nodes) {
    try {
      const std::optional<Shape> sizes = infer(node, facts_of(graph, node)).sizes;
      if (sizes) graph.value(node.output).sizes = sizes;
    } catch (const Error& e) {
      throw ValueError(fmt::format("node '{}' ({}): {}", node.name, op_name(node.op), e.what()));
    }
  }
}

Range* range_of(Op& op) {
  if (auto* conv = std::get_if<Conv>(&op)) return &conv->range;
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->range;
  if (auto* norm = std::get_if<BatchNorm>(&op)) return &norm->range;
  if (auto* add = std::get_if<Add>(&op)) return &add->range;
  if (auto* clip = std::get_if<Clip>(&op)) return &clip->range;
  return nullptr;
}

bool all_finite(const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  const float* values = dense.data<float>();
  return std::all_of(values, values + dense.numel(), [](float v) { return std::isfinite(v); });
}

std::vector<float> per_channel(const Tensor& constant, int rank, int axis, std::int64_t channels) {
  if (constant.dtype() != DType::float32 || constant.dim() > rank) return {};
  for (int d = 0; d < constant.dim(); ++d) {
    const int where = d + rank - constant.dim();
    if (constant.size(d) != 1 && (where != axis || constant.size(d) != channels)) return {};
  }
  return constant.to_vector<float>();
}

void fuse(Graph& graph) {
  recognize_functions(graph);
  move_transpose(graph);
  fold_bias(graph);  // what stands behind it may be a scale
  fold_scale(graph);
  fold_batch_norm(graph);
  fold_bias(graph);
  fold_pad(graph);
  fuse_relu(graph);
  fuse_add(graph);
  remove_dead_nodes(graph);
}

}  // namespace qconv::graph
