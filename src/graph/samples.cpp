// Batches whose samples do not meet.
#include "graph/samples.hpp"

#include <algorithm>

#include "graph/layer_info.hpp"
#include "support/cache_sizes.hpp"

namespace qconv::graph {
namespace {

bool is_batch_axis(std::int64_t axis, int rank) { return axis == 0 || axis + rank == 0; }

// Whether an operation leaves the first dimension of its first input, of this rank, alone; what that does to
// sizes is seen elsewhere.
struct LeavesSamples {
  int rank;

  bool operator()(const Concat& c) const { return !is_batch_axis(c.axis, rank); }
  bool operator()(const Softmax& s) const { return !is_batch_axis(s.axis, rank); }
  bool operator()(const LayerNorm& l) const { return !is_batch_axis(l.axis, rank); }
  bool operator()(const Mean& m) const {
    return !m.axes.empty() &&
           std::none_of(m.axes.begin(), m.axes.end(), [&](auto axis) { return is_batch_axis(axis, rank); });
  }
  bool operator()(const Transpose& t) const { return !t.permutation.empty() && t.permutation[0] == 0; }
  bool operator()(const Pad& p) const { return p.begin.empty() || (p.begin[0] == 0 && p.end[0] == 0); }
  // These could move samples about without a trace in the sizes.
  bool operator()(const Slice&) const { return false; }
  bool operator()(const Gather&) const { return false; }
  bool operator()(const Expand&) const { return false; }
  template <class Other>
  bool operator()(const Other&) const {
    return true;
  }
};

bool combines(const Op& op) { return std::holds_alternative<Add>(op) || std::holds_alternative<Binary>(op); }

// The batch along the first dimension, and otherwise the same sizes.
bool holds_samples(const Shape& batch, const Shape& single, std::int64_t count) {
  if (batch.rank() == 0 || batch.rank() != single.rank() || batch[0] != count || single[0] != 1) return false;
  return std::equal(batch.begin() + 1, batch.end(), single.begin() + 1, single.end());
}

}  // namespace

bool samples_are_independent(const Graph& graph, const Plan& batch, const Plan& single) {
  if (batch.steps.size() != single.steps.size() || batch.slots.size() != single.slots.size()) return false;
  if (batch.input_sizes.empty() || batch.input_sizes[0].rank() == 0) return false;
  const std::int64_t count = batch.input_sizes[0][0];
  for (std::size_t i = 0; i < batch.slots.size(); ++i) {
    if (batch.slots[i].value != single.slots[i].value ||
        !holds_samples(batch.slots[i].sizes, single.slots[i].sizes, count))
      return false;
  }
  const auto is_slot = [](int slot) { return slot >= 0; };
  if (!std::all_of(batch.output_slots.begin(), batch.output_slots.end(), is_slot)) return false;
  for (std::size_t s = 0; s < batch.steps.size(); ++s) {
    const Plan::Step& step = batch.steps[s];
    if (step.node != single.steps[s].node || step.slots.empty() || step.slots[0] < 0) return false;
    const Node& node = graph.nodes[step.node];
    const auto rank_of = [&](int slot) { return batch.slots[static_cast<std::size_t>(slot)].sizes.rank(); };
    if (!std::visit(LeavesSamples{rank_of(step.slots[0])}, node.op)) return false;
    if (!combines(node.op)) continue;
    // Operands are aligned at their last dimensions.
    const int rank = rank_of(step.result);
    for (std::size_t i = 0; i < step.slots.size(); ++i) {
      const bool aligned = step.slots[i] >= 0
                               ? rank_of(step.slots[i]) == rank
                               : step.constants[i].dim() < rank || step.constants[i].size(0) == 1;
      if (!aligned) return false;
    }
  }
  return true;
}

bool samples_are_faster_alone(const Graph& graph, const Plan& batch, const Plan& single) {
  // So that what a run takes beside its layers does not count.
  constexpr std::size_t kLeastBytes = std::size_t{1} << 20;
  std::size_t activations = 0;
  std::size_t largest = 0;
  for (const Plan::Slot& slot : single.slots) {
    if (slot.buffer >= 0)
      activations +=
          static_cast<std::size_t>(slot.sizes.numel()) * element_size(graph.value(slot.value).dtype);
  }
  for (const Plan::Slot& slot : batch.slots) {
    if (slot.buffer >= 0)
      largest = std::max(largest, static_cast<std::size_t>(slot.sizes.numel()) *
                                      element_size(graph.value(slot.value).dtype));
  }
  std::size_t weights = 0;
  for (const Plan::Step& step : batch.steps) {
    const Node& node = graph.nodes[step.node];
    if (!is_quantized(graph.value(node.output).dtype) && !std::holds_alternative<Dequantize>(node.op))
      return false;
    if (has_weight(node)) weights += count_weights(graph, node).bytes;
  }
  return weights > 0 && activations >= std::max(kLeastBytes, weights) &&
         largest > static_cast<std::size_t>(cache_sizes().second);
}

}  // namespace qconv::graph
