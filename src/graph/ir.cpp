#include "graph/ir.hpp"

#include <algorithm>

#include "support/check.hpp"

namespace qconv::graph {

Range intersect(const Range& first, const Range& second) noexcept {
  // Clip(Clip(x, first), second): the second limits win where they exclude each other.
  const auto limit = [&](float v) { return std::min(std::max(v, second.lo), second.hi); };
  return {limit(first.lo), limit(first.hi)};
}

namespace {

std::string_view name_of(UnaryKind kind) {
  switch (kind) {
    case UnaryKind::abs:
      return "Abs";
    case UnaryKind::affine:
      return "Affine";
    case UnaryKind::ceil:
      return "Ceil";
    case UnaryKind::elu:
      return "Elu";
    case UnaryKind::erf:
      return "Erf";
    case UnaryKind::exp:
      return "Exp";
    case UnaryKind::floor:
      return "Floor";
    case UnaryKind::gelu:
    case UnaryKind::gelu_tanh:
      return "Gelu";
    case UnaryKind::hardsigmoid:
      return "HardSigmoid";
    case UnaryKind::hardswish:
      return "HardSwish";
    case UnaryKind::leaky_relu:
      return "LeakyRelu";
    case UnaryKind::log:
      return "Log";
    case UnaryKind::mish:
      return "Mish";
    case UnaryKind::neg:
      return "Neg";
    case UnaryKind::pow:
      return "Pow";
    case UnaryKind::reciprocal:
      return "Reciprocal";
    case UnaryKind::sigmoid:
      return "Sigmoid";
    case UnaryKind::silu:
      return "Swish";
    case UnaryKind::softplus:
      return "Softplus";
    case UnaryKind::sqrt:
      return "Sqrt";
    case UnaryKind::tanh:
      return "Tanh";
  }
  return "";
}

std::string_view name_of(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::sub:
      return "Sub";
    case BinaryKind::mul:
      return "Mul";
    case BinaryKind::div:
      return "Div";
    case BinaryKind::pow:
      return "Pow";
    case BinaryKind::min:
      return "Min";
    case BinaryKind::max:
      return "Max";
  }
  return "";
}

struct NameOf {
  std::string_view operator()(const Conv& c) const {
    return c.geometry.transposed ? "ConvTranspose" : "Conv";
  }
  std::string_view operator()(const Linear&) const { return "Gemm"; }
  std::string_view operator()(const BatchNorm&) const { return "BatchNormalization"; }
  std::string_view operator()(const Clip& c) const { return c.range == Range{.lo = 0} ? "Relu" : "Clip"; }
  std::string_view operator()(const Add&) const { return "Add"; }
  std::string_view operator()(const UnaryOp& u) const { return name_of(u.function.kind); }
  std::string_view operator()(const Binary& b) const { return name_of(b.kind); }
  std::string_view operator()(const Pool& p) const {
    return p.kind == PoolKind::max ? "MaxPool" : "AveragePool";
  }
  std::string_view operator()(const GlobalAveragePool&) const { return "GlobalAveragePool"; }
  std::string_view operator()(const Mean&) const { return "ReduceMean"; }
  std::string_view operator()(const LayerNorm&) const { return "LayerNormalization"; }
  std::string_view operator()(const InstanceNorm&) const { return "InstanceNormalization"; }
  std::string_view operator()(const Flatten&) const { return "Flatten"; }
  std::string_view operator()(const Reshape&) const { return "Reshape"; }
  std::string_view operator()(const Pad&) const { return "Pad"; }
  std::string_view operator()(const Concat&) const { return "Concat"; }
  std::string_view operator()(const Transpose&) const { return "Transpose"; }
  std::string_view operator()(const Resize&) const { return "Resize"; }
  std::string_view operator()(const Softmax&) const { return "Softmax"; }
  std::string_view operator()(const Quantize&) const { return "QuantizeLinear"; }
  std::string_view operator()(const Dequantize&) const { return "DequantizeLinear"; }
  std::string_view operator()(const ShapeOf&) const { return "Shape"; }
  std::string_view operator()(const Gather&) const { return "Gather"; }
  std::string_view operator()(const Unsqueeze&) const { return "Unsqueeze"; }
  std::string_view operator()(const Squeeze&) const { return "Squeeze"; }
  std::string_view operator()(const Cast&) const { return "Cast"; }
  std::string_view operator()(const Slice&) const { return "Slice"; }
  std::string_view operator()(const ConstantOfShape&) const { return "ConstantOfShape"; }
  std::string_view operator()(const Expand&) const { return "Expand"; }
};

}  // namespace

std::string_view op_name(const Op& op) noexcept { return std::visit(NameOf{}, op); }

ValueId Graph::add_value(Value v) {
  values.push_back(std::move(v));
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  Value v;
  v.name = std::move(value_name);
  v.dtype = tensor.dtype();
  v.sizes = tensor.sizes();
  if (tensor.is_quantized()) v.qparams = tensor.qparams();
  v.constant = std::move(tensor);
  v.early = true;
  return add_value(std::move(v));
}

ValueId Graph::add_dequantized_constant(std::string value_name, Tensor int8) {
  const ValueId id = add_constant(std::move(value_name), std::move(int8));
  value(id).dtype = DType::float32;
  value(id).qparams.reset();
  return id;
}

Uses::Uses(const Graph& graph)
    : producers_(graph.values.size(), -1),
      readers_(graph.values.size()),
      outputs_(graph.values.size(), false) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    producers_[static_cast<std::size_t>(node.output)] = static_cast<int>(i);
    for (const ValueId v : node.inputs) {
      if (v != kNoValue) readers_[static_cast<std::size_t>(v)].push_back(static_cast<int>(i));
    }
  }
  for (const ValueId v : graph.outputs) outputs_[static_cast<std::size_t>(v)] = true;
}

void replace_value(Graph& graph, ValueId from, ValueId to) {
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(graph.outputs.begin(), graph.outputs.end(), from, to);
}

void remove_dead_nodes(Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId v : graph.outputs) needed[static_cast<std::size_t>(v)] = true;
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!needed[static_cast<std::size_t>(node->output)]) continue;
    for (const ValueId v : node->inputs) {
      if (v != kNoValue) needed[static_cast<std::size_t>(v)] = true;
    }
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  graph.nodes = std::move(kept);
  // Constants are most of a network's memory. The values stay, as their numbers are what nodes name.
  for (std::size_t v = 0; v < needed.size(); ++v) {
    if (!needed[v]) graph.values[v].constant = Tensor();
  }
}

Ordering topological_order(const std::vector<std::vector<std::size_t>>& needs) {
  // Depth first with an own stack: a hostile file may nest as deep as it likes.
  enum class State : std::uint8_t { fresh, open, done };
  struct Frame {
    std::size_t item;
    std::size_t next;
  };
  std::vector<State> states(needs.size(), State::fresh);
  std::vector<Frame> stack;
  Ordering result;
  for (std::size_t root = 0; root < needs.size(); ++root) {
    if (states[root] != State::fresh) continue;
    stack.push_back({root, 0});
    states[root] = State::open;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == needs[frame.item].size()) {
        states[frame.item] = State::done;
        result.order.push_back(frame.item);
        stack.pop_back();
        continue;
      }
      const std::size_t before = needs[frame.item][frame.next++];
      if (states[before] == State::open) {
        result.on_cycle = static_cast<int>(before);
        return result;
      }
      if (states[before] == State::fresh) {
        states[before] = State::open;
        stack.push_back({before, 0});
      }
    }
  }
  return result;
}

void sort_nodes(Graph& graph) {
  const Uses uses(graph);
  std::vector<std::vector<std::size_t>> needs(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId v : graph.nodes[i].inputs) {
      if (v != kNoValue && uses.producer(v) >= 0)
        needs[i].push_back(static_cast<std::size_t>(uses.producer(v)));
    }
  }
  const Ordering ordering = topological_order(needs);
  check(ordering.on_cycle < 0, "the graph has a cycle through node '{}'",
        ordering.on_cycle < 0 ? "" : graph.nodes[static_cast<std::size_t>(ordering.on_cycle)].name);
  std::vector<Node> sorted;
  sorted.reserve(graph.nodes.size());
  for (const std::size_t i : ordering.order) sorted.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(sorted);
}

}  // namespace qconv::graph
