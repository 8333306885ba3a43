#include <algorithm>
#include <cmath>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

// x * scale + shift with constants of one element per channel, or of one for all.
struct Scaling {
  ValueId x = kNoValue;
  Tensor scale;
  Tensor shift;
};

std::optional<Scaling> scaling_of(const Graph& graph, const Node& node) {
  const auto* binary = std::get_if<Binary>(&node.op);
  const auto* add = std::get_if<Add>(&node.op);
  if ((binary == nullptr && add == nullptr) || (add != nullptr && !add->range.unlimited()))
    return std::nullopt;
  const Value& first = graph.value(node.inputs[0]);
  const bool activation_first = !first.early;
  const Value& x = activation_first ? first : graph.value(node.inputs[1]);
  const Value& c = activation_first ? graph.value(node.inputs[1]) : first;
  if (x.early || !c.is_constant() || c.dtype != DType::float32 || x.dtype != DType::float32 || !x.sizes)
    return std::nullopt;
  const std::vector<float> values =
      per_channel(c.elements(), x.sizes->rank(), 1, x.sizes->rank() >= 2 ? (*x.sizes)[1] : 1);
  if (values.empty()) return std::nullopt;
  std::vector<float> scale(values.size(), 1.0F);
  std::vector<float> shift(values.size(), 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (add != nullptr) {
      shift[i] = values[i];
      continue;
    }
    switch (binary->kind) {
      case BinaryKind::mul:
        scale[i] = values[i];
        break;
      case BinaryKind::div:
        if (!activation_first) return std::nullopt;
        scale[i] = 1.0F / values[i];
        break;
      case BinaryKind::sub:
        scale[i] = activation_first ? 1.0F : -1.0F;
        shift[i] = activation_first ? -values[i] : values[i];
        break;
      default:
        return std::nullopt;
    }
  }
  const Shape sizes{static_cast<std::int64_t>(values.size())};
  Scaling s{node.inputs[activation_first ? 0 : 1], Tensor::from_data(scale, sizes),
            Tensor::from_data(shift, sizes)};
  if (!all_finite(s.scale) || !all_finite(s.shift)) return std::nullopt;
  return s;
}

bool takes_batch_norm(const Op& op, int rank) {
  const auto* conv = std::get_if<Conv>(&op);
  const auto* linear = std::get_if<Linear>(&op);
  return (conv != nullptr && conv->range.unlimited()) ||
         (linear != nullptr && linear->range.unlimited() && rank == 2);
}

float only(const Tensor& t) { return t.data<float>()[0]; }

Tensor repeated(const Tensor& t, std::int64_t channels) {
  if (t.numel() == channels) return t;
  return Tensor::from_data(std::vector<float>(static_cast<std::size_t>(channels), only(t)), {channels});
}

}  // namespace

int fold_scale(Graph& graph) {
  const Uses uses(graph);
  // Batch normalizations that a convolution will take in, and what follows them with them.
  std::vector<bool> taken_in(graph.nodes.size(), false);
  int count = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    const auto leads_to_layer = [&](ValueId x) {
      const int producer = uses.producer(x);
      const std::optional<Shape>& sizes = graph.value(x).sizes;
      if (producer < 0 || uses.only_reader(x) != static_cast<int>(i) || !sizes) return false;
      return taken_in[static_cast<std::size_t>(producer)] ||
             takes_batch_norm(graph.nodes[static_cast<std::size_t>(producer)].op, sizes->rank());
    };
    if (const auto* norm = std::get_if<BatchNorm>(&node.op))
      taken_in[i] = norm->range.unlimited() && leads_to_layer(node.inputs[0]);
    const std::optional<Scaling> s = scaling_of(graph, node);
    if (!s) continue;
    const Shape sizes = *graph.value(s->x).sizes;
    const int producer = uses.producer(s->x);
    const bool foldable = leads_to_layer(s->x);
    const bool one = s->scale.numel() == 1;
    // A bias; of a Linear over more dimensions, too.
    const bool bias = producer >= 0 && uses.only_reader(s->x) == static_cast<int>(i) &&
                      (std::holds_alternative<Linear>(graph.nodes[static_cast<std::size_t>(producer)].op) ||
                       (foldable && !taken_in[static_cast<std::size_t>(producer)]));
    if (bias && std::holds_alternative<Add>(node.op)) continue;
    if (one && !foldable) {
      // The functions before it may be another such step.
      Unary function{UnaryKind::affine, only(s->scale), only(s->shift)};
      ValueId x = s->x;
      if (producer >= 0 && uses.only_reader(x) == static_cast<int>(i)) {
        const Node& before = graph.nodes[static_cast<std::size_t>(producer)];
        const auto* unary = std::get_if<UnaryOp>(&before.op);
        if (unary != nullptr && unary->function.kind == UnaryKind::affine) {
          const Unary& inner = unary->function;
          const Unary both{UnaryKind::affine, function.alpha * inner.alpha,
                           function.alpha * inner.beta + function.beta};
          // A product outside of the normal numbers would not be what the two compute.
          if (std::isnormal(both.alpha) && std::isfinite(both.beta)) {
            function = both;
            x = before.inputs[0];
          }
        }
      }
      node.op = UnaryOp{function};
      node.inputs = {x};
      ++count;
      continue;
    }
    if (sizes.rank() < 2 || sizes[1] < 1) continue;
    const std::int64_t channels = sizes[1];
    const auto constant = [&](std::string_view what, const Tensor& t) {
      return graph.add_constant(node.name + "/" + std::string(what), repeated(t, channels));
    };
    const ValueId scale = constant("scale", s->scale);
    const ValueId shift = constant("shift", s->shift);
    const ValueId mean = constant("mean", Tensor::zeros({1}, float32));
    const ValueId variance = constant("variance", Tensor::from_data(std::vector<float>{1.0F}, {1}));
    node.op = BatchNorm{0, {}};
    node.inputs = {s->x, scale, shift, mean, variance};
    taken_in[i] = foldable;
    ++count;
  }
  if (count > 0) remove_dead_nodes(graph);
  return count;
}

}  // namespace qconv::graph
