#include <algorithm>
#include <cmath>

#include "graph/passes/passes.hpp"
#include "quantize/choose_qparams.hpp"

namespace qconv::graph {
namespace {

// Where a function changes: outside, it is constant, exactly or to less than half of an 8-bit step of its
// results.
Range active_range(const Unary& f) {
  Range active;
  switch (f.kind) {
    case UnaryKind::hardswish:
      active.lo = -3;
      break;
    case UnaryKind::hardsigmoid:
      if (f.alpha > 0) active = {-f.beta / f.alpha, (1 - f.beta) / f.alpha};
      break;
    case UnaryKind::gelu:
    case UnaryKind::gelu_tanh:
      active.lo = -4;
      break;
    case UnaryKind::elu:
      active.lo = -6;
      break;
    case UnaryKind::mish:
    case UnaryKind::silu:
    case UnaryKind::softplus:
      active.lo = -8;
      break;
    case UnaryKind::sigmoid:
      active = {-8, 8};
      break;
    case UnaryKind::tanh:
      active = {-4, 4};
      break;
    default:
      break;
  }
  return active;
}

// What all readers together need of the value.
Range needed_range(const Graph& graph, const Uses& uses, ValueId v) {
  if (uses.is_output(v) || uses.readers(v).empty()) return {};
  Range needed{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for (const int reader : uses.readers(v)) {
    const auto* unary = std::get_if<UnaryOp>(&graph.nodes[static_cast<std::size_t>(reader)].op);
    if (unary == nullptr) return {};
    const Range active = active_range(unary->function);
    needed.lo = std::min(needed.lo, active.lo);
    needed.hi = std::max(needed.hi, active.hi);
  }
  return needed;
}

}  // namespace

int narrow_ranges(const Graph& graph, std::map<ValueId, ActivationParams>& activations) {
  const Uses uses(graph);
  int count = 0;
  for (auto& [id, params] : activations) {
    const Range needed = needed_range(graph, uses, id);
    if (needed.unlimited()) continue;
    const DTypeInfo& ends = info(params.dtype);
    const std::int64_t zero_point = params.qparams.zero_points[0];
    // A symmetric range stays symmetric.
    if (zero_point == (ends.quant_min + ends.quant_max + 1) / 2) continue;
    const double scale = params.qparams.scales[0];
    const auto lo = static_cast<float>(static_cast<double>(ends.quant_min - zero_point) * scale);
    const auto hi = static_cast<float>(static_cast<double>(ends.quant_max - zero_point) * scale);
    if (needed.lo <= lo && needed.hi >= hi) continue;
    const ChosenQParams chosen = choose_qparams(
        std::min(std::max(lo, needed.lo), 0.0F), std::max(std::min(hi, needed.hi), 0.0F),
        static_cast<std::int32_t>(ends.quant_min), static_cast<std::int32_t>(ends.quant_max), false, false);
    params.qparams = QParams::per_tensor(chosen.scale, chosen.zero_point);
    ++count;
  }
  return count;
}

}  // namespace qconv::graph
