#include "graph/passes/passes.hpp"

namespace qconv::graph {

bool keeps_qparams(const Op& op) {
  if (const auto* pool = std::get_if<Pool>(&op)) return pool->kind == PoolKind::max;
  if (const auto* resize = std::get_if<Resize>(&op)) return resize->mode == ResizeMode::nearest;
  if (const auto* pad = std::get_if<Pad>(&op)) return pad->mode != PaddingMode::zeros || pad->constant == 0;
  return std::holds_alternative<Flatten>(op) || std::holds_alternative<Reshape>(op) ||
         std::holds_alternative<Squeeze>(op) || std::holds_alternative<Unsqueeze>(op) ||
         std::holds_alternative<Transpose>(op) || std::holds_alternative<Slice>(op) ||
         std::holds_alternative<Gather>(op) || std::holds_alternative<Expand>(op);
}

bool has_integer_form(const Op& op) {
  if (const auto* binary = std::get_if<Binary>(&op)) {
    return binary->kind == BinaryKind::mul || binary->kind == BinaryKind::sub;
  }
  return std::holds_alternative<Conv>(op) || std::holds_alternative<Linear>(op) ||
         std::holds_alternative<Add>(op) || std::holds_alternative<Concat>(op) ||
         std::holds_alternative<Pool>(op) || std::holds_alternative<GlobalAveragePool>(op) ||
         std::holds_alternative<Resize>(op) || std::holds_alternative<Clip>(op) ||
         std::holds_alternative<UnaryOp>(op) || std::holds_alternative<BatchNorm>(op);
}

bool is_activation(const Node& node, std::size_t input) {
  if (node.input(input) == kNoValue) return false;
  if (std::holds_alternative<Conv>(node.op)) return input == 0 || input == 3;
  if (std::holds_alternative<Linear>(node.op) || std::holds_alternative<Resize>(node.op) ||
      std::holds_alternative<BatchNorm>(node.op)) {
    return input == 0;
  }
  return true;
}

}  // namespace qconv::graph
