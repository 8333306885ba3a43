#include "graph/correspondence.hpp"

#include <algorithm>
#include <unordered_map>

namespace qconv::graph {
namespace {

Range range_of(const Op& op) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.range; }) return o.range;
        return Range{};
      },
      op);
}

// Whether the node changes nothing but the numbers' precision, and what it does not limit already.
bool only_represents(const Graph& reference, const Uses& uses, const Node& node, ValueId stands_for) {
  if (std::holds_alternative<Quantize>(node.op) || std::holds_alternative<Dequantize>(node.op)) return true;
  const auto* clip = std::get_if<Clip>(&node.op);
  if (clip == nullptr) return false;
  const int maker = uses.producer(stands_for);
  const Range limits = maker < 0 ? Range{} : range_of(reference.nodes[static_cast<std::size_t>(maker)].op);
  return intersect(limits, clip->range) == limits;
}

}  // namespace

Correspondence::Correspondence(const Graph& reference, const Graph& other)
    : values_(other.values.size(), kNoValue), nodes_(other.nodes.size(), -1), rests_(other.nodes.size()) {
  for (std::size_t i = 0; i < std::min(reference.inputs.size(), other.inputs.size()); ++i) {
    values_[static_cast<std::size_t>(other.inputs[i])] = reference.inputs[i];
  }
  const Uses uses(reference);
  std::unordered_map<std::string, int> by_name;
  for (std::size_t i = 0; i < reference.nodes.size(); ++i) {
    by_name.emplace(reference.nodes[i].name, static_cast<int>(i));
  }
  for (std::size_t i = 0; i < other.nodes.size(); ++i) {
    const Node& node = other.nodes[i];
    ValueId& result = values_[static_cast<std::size_t>(node.output)];
    const auto found = by_name.find(node.name);
    if (found != by_name.end()) {
      nodes_[i] = found->second;
      const Node& like = reference.nodes[static_cast<std::size_t>(found->second)];
      result = like.output;
      if (!(range_of(like.op) == range_of(node.op))) rests_[i] = range_of(like.op);
    } else if (node.input(0) != kNoValue && value(node.inputs[0]) != kNoValue &&
               only_represents(reference, uses, node, value(node.inputs[0]))) {
      result = value(node.inputs[0]);
    }
  }
}

}  // namespace qconv::graph
