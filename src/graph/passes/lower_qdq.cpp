#include <cmath>

#include "graph/passes/passes.hpp"

namespace qconv::graph {

namespace {

// The pass walks the nodes once, in order, and writes the new list.
class Lowering {
 public:
  explicit Lowering(Graph& graph)
      : graph_(graph),
        uses_(graph),
        absorbed_(graph.nodes.size(), false),
        integers_(graph.values.size(), kNoValue),
        replaced_(graph.values.size(), kNoValue) {}

  int run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (absorbed_[i]) continue;
      Node node = std::move(graph_.nodes[i]);
      for (ValueId& v : node.inputs) {
        if (v != kNoValue) v = current(v);
      }
      if (!lower(node)) keep(std::move(node));
    }
    for (ValueId& v : graph_.outputs) v = current(v);
    graph_.nodes = std::move(nodes_);
    remove_dead_nodes(graph_);
    return count_;
  }

 private:
  static std::size_t at(ValueId v) { return static_cast<std::size_t>(v); }
  ValueId current(ValueId v) const {
    return at(v) < replaced_.size() && replaced_[at(v)] != kNoValue ? replaced_[at(v)] : v;
  }

  // The integers that a float value was dequantized from, or kNoValue.
  ValueId integers_of(ValueId v) const {
    return v == kNoValue || at(v) >= integers_.size() ? kNoValue : integers_[at(v)];
  }

  void keep(Node node) {
    if (std::holds_alternative<Dequantize>(node.op)) integers_[at(node.output)] = node.inputs[0];
    nodes_.push_back(std::move(node));
  }

  // The Quantize that alone reads the node's result, or -1.
  int quantizer(const Node& node) const {
    const int reader = at(node.output) < replaced_.size() ? uses_.only_reader(node.output) : -1;
    if (reader < 0 || absorbed_[static_cast<std::size_t>(reader)]) return -1;
    return std::holds_alternative<Quantize>(graph_.nodes[static_cast<std::size_t>(reader)].op) ? reader : -1;
  }

  ValueId new_value(const std::string& name, const Value& like, const std::optional<Shape>& sizes) {
    Value v;
    v.name = name;
    v.dtype = like.dtype;
    v.qparams = like.qparams;
    v.sizes = sizes;
    const ValueId id = graph_.add_value(std::move(v));
    integers_.push_back(kNoValue);
    replaced_.push_back(kNoValue);
    return id;
  }

  bool lower(Node& node) {
    if (std::holds_alternative<Quantize>(node.op)) return requantize(node);
    if (keeps_qparams(node.op)) return move_before_dequantize(node);
    if (!has_integer_form(node.op) || !has_int8_weight(node)) return false;
    const int reader = quantizer(node);
    if (reader < 0) return false;
    const Node& quantize = graph_.nodes[static_cast<std::size_t>(reader)];
    const Value& result = graph_.value(quantize.output);
    // Every activation comes from integers of the result's dtype; Clip and Conv may change it.
    const bool may_change = std::holds_alternative<Clip>(node.op) ||
                            (std::holds_alternative<Conv>(node.op) && node.input(3) == kNoValue) ||
                            std::holds_alternative<Linear>(node.op) ||
                            std::holds_alternative<UnaryOp>(node.op);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (!is_activation(node, i)) continue;
      const ValueId from = integers_of(node.inputs[i]);
      if (from == kNoValue) return false;
      if (graph_.value(from).dtype != result.dtype && !(may_change && i == 0)) return false;
    }
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (is_activation(node, i)) node.inputs[i] = integers_of(node.inputs[i]);
    }
    use_int8_weight(node);
    absorbed_[static_cast<std::size_t>(reader)] = true;
    const Range rest = limit(node, result);
    if (rest.unlimited()) {
      node.output = quantize.output;
      keep(std::move(node));
    } else {
      // A limit that is no edge of the integers: quantization is monotone, so it may as well come after it.
      const ValueId before = new_value(result.name + "/unlimited", result, result.sizes);
      Node clip{node.name + "/clip", Clip{rest}, {before}, quantize.output};
      node.output = before;
      keep(std::move(node));
      keep(std::move(clip));
    }
    ++count_;
    return true;
  }

  // Or none to have.
  bool has_int8_weight(const Node& node) const {
    if (const auto* conv = std::get_if<Conv>(&node.op))
      return int8_weight(node, conv->geometry.transposed ? 1 : 0);
    return !std::holds_alternative<Linear>(node.op) || int8_weight(node, 0);
  }

  bool int8_weight(const Node& node, int axis) const {
    const Value& w = graph_.value(node.inputs[1]);
    return w.is_stored_as_int8() &&
           (!w.constant.qparams().is_per_channel() || w.constant.qparams().axis == axis);
  }

  void use_int8_weight(Node& node) {
    if (!std::holds_alternative<Conv>(node.op) && !std::holds_alternative<Linear>(node.op)) return;
    const Value weight = graph_.value(node.inputs[1]);
    node.inputs[1] = graph_.add_constant(weight.name, weight.constant);
    integers_.push_back(kNoValue);
    replaced_.push_back(kNoValue);
  }

  // Sets the node's range to what its integer form does by itself (none, or never below the zero point) and
  // returns the limits that remain. Clip does them all itself.
  static Range limit(Node& node, const Value& result) {
    Range* range = range_of(node.op);
    if (range == nullptr || std::holds_alternative<Clip>(node.op)) return {};
    const float inverse = 1.0F / static_cast<float>(result.qparams->scales[0]);
    const auto zero_point = static_cast<float>(result.qparams->zero_points[0]);
    const DTypeInfo& ends = info(result.dtype);
    Range rest = *range;
    Range own;
    if (rest.lo == 0) {
      own.lo = 0;
      rest.lo = Range{}.lo;
    } else if (std::nearbyint(rest.lo * inverse) + zero_point <= static_cast<float>(ends.quant_min)) {
      rest.lo = Range{}.lo;
    }
    if (std::nearbyint(rest.hi * inverse) + zero_point >= static_cast<float>(ends.quant_max))
      rest.hi = Range{}.hi;
    *range = own;
    return rest;
  }

  bool move_before_dequantize(Node& node) {
    const ValueId from = integers_of(node.inputs[0]);
    if (from == kNoValue) return false;
    const ValueId real = node.output;
    const Value like = graph_.value(from);
    const Value real_value = graph_.value(real);
    node.inputs[0] = from;
    node.output = new_value(real_value.name, like, real_value.sizes);
    Node dequantize{node.name + "/dequantize", Dequantize{}, {node.output}, real};
    keep(std::move(node));
    keep(std::move(dequantize));
    ++count_;
    return true;
  }

  bool requantize(Node& node) {
    const ValueId from = integers_of(node.inputs[0]);
    if (from == kNoValue) return false;
    const Value& old = graph_.value(from);
    const Value& result = graph_.value(node.output);
    ++count_;
    if (old.dtype == result.dtype && old.qparams == result.qparams) {
      replaced_[at(node.output)] = from;
    } else {
      keep({node.name, Clip{}, {from}, node.output});
    }
    return true;
  }

  Graph& graph_;
  Uses uses_;
  std::vector<bool> absorbed_;
  std::vector<ValueId> integers_;
  std::vector<ValueId> replaced_;
  std::vector<Node> nodes_;
  int count_ = 0;
};

}  // namespace

int lower_qdq(Graph& graph) { return Lowering(graph).run(); }

}  // namespace qconv::graph
