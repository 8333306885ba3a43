#include "graph/repair/equalize.hpp"

#include <cmath>
#include <limits>
#include <optional>

#include "graph/passes/passes.hpp"
#include "graph/repair/weight_layout.hpp"

namespace qconv::graph {
namespace {

constexpr int kRounds = 50;
// The logarithm of the largest scale at which the weights are said to be at rest.
constexpr double kRest = 1e-3;
// Of one step; further steps follow.
constexpr double kLargestScale = 65536;

struct Pair {
  std::size_t first = 0;
  std::size_t second = 0;
  /// Input channels of the second per channel of the first: more than one where a Flatten comes between.
  std::int64_t inner = 1;
  std::vector<std::size_t> limited;  ///< nodes in between, or the first, with a limit above
};

bool is_positive_relu(const Range& r) { return r.lo == 0 && std::isinf(r.hi); }
bool is_limited_relu(const Range& r) { return r.lo == 0 && r.hi > 0 && !std::isinf(r.hi); }

// What a node does to a channel of (N, C, spatial...): nothing that a factor of the channel would not pass.
bool passes_channels(const Node& node, bool channels_last) {
  if (const auto* unary = std::get_if<UnaryOp>(&node.op)) {
    return unary->function.kind == UnaryKind::leaky_relu;
  }
  if (const auto* clip = std::get_if<Clip>(&node.op)) {
    return clip->range.unlimited() || is_positive_relu(clip->range) || is_limited_relu(clip->range);
  }
  if (channels_last) return false;  // what follows looks at dimensions
  if (const auto* pad = std::get_if<Pad>(&node.op)) {
    const bool channels_stay = pad->begin.size() >= 2 && pad->begin[0] == 0 && pad->end[0] == 0 &&
                               pad->begin[1] == 0 && pad->end[1] == 0;
    return channels_stay && (pad->mode != PaddingMode::zeros || pad->constant == 0);
  }
  return std::holds_alternative<Pool>(node.op) || std::holds_alternative<GlobalAveragePool>(node.op) ||
         std::holds_alternative<Resize>(node.op);
}

bool has_float_weight(const Graph& graph, const Node& node) {
  if (!has_weight(node)) return false;
  const Value& weight = graph.value(node.inputs[1]);
  return weight.is_constant() && weight.dtype == DType::float32 && !weight.is_stored_as_int8();
}

// The layer that alone reads what `index` makes, or nothing.
std::optional<Pair> pair_from(const Graph& graph, const Uses& uses, std::size_t index) {
  const Node& first = graph.nodes[index];
  if (!has_float_weight(graph, first) || first.input(3) != kNoValue) return std::nullopt;
  const Range& range = limits_of(first);
  if (!range.unlimited() && !is_positive_relu(range) && !is_limited_relu(range)) return std::nullopt;
  Pair pair;
  pair.first = index;
  if (is_limited_relu(range)) pair.limited.push_back(index);
  bool last = std::holds_alternative<Linear>(first.op);
  ValueId v = first.output;
  for (;;) {
    const int reader = uses.only_reader(v);
    if (reader < 0) return std::nullopt;
    const Node& node = graph.nodes[static_cast<std::size_t>(reader)];
    if (has_weight(node)) {
      if (!has_float_weight(graph, node) || node.inputs[0] != v || node.input(3) == v) return std::nullopt;
      if (std::holds_alternative<Linear>(node.op) != last) return std::nullopt;
      const std::int64_t made = layout_of(graph, first).out_channels;
      const std::int64_t read = layout_of(graph, node).in_channels;
      if (made == 0 || read % made != 0) return std::nullopt;
      pair.inner = read / made;
      pair.second = static_cast<std::size_t>(reader);
      return pair;
    }
    const auto* flatten = std::get_if<Flatten>(&node.op);
    if (flatten != nullptr && flatten->axis == 1 && !last) {
      last = true;
    } else if (!passes_channels(node, last)) {
      return std::nullopt;
    }
    const auto* clip = std::get_if<Clip>(&node.op);
    if (clip != nullptr && is_limited_relu(clip->range)) {
      pair.limited.push_back(static_cast<std::size_t>(reader));
    }
    v = node.output;
  }
}

// The weights while they are scaled.
struct Weights {
  WeightLayout layout;
  Tensor weight;
  std::vector<float> bias;
  bool has_bias = false;
};

class Equalizer {
 public:
  explicit Equalizer(Graph& graph) : graph_(graph), weights_(graph.nodes.size()) {}

  void take(std::size_t index) {
    Weights& w = weights_[index];
    if (w.weight.defined()) return;
    const Node& node = graph_.nodes[index];
    w.layout = layout_of(graph_, node);
    w.weight = graph_.value(node.inputs[1]).constant.clone(MemoryFormat::contiguous);
    w.has_bias = node.input(2) != kNoValue;
    w.bias = bias_of(graph_, node);
  }

  // Returns how far the scales were from 1.
  double balance(const Pair& pair) {
    Weights& a = weights_[pair.first];
    Weights& b = weights_[pair.second];
    const auto channels = static_cast<std::size_t>(a.layout.out_channels);
    std::vector<double> first(channels);
    std::vector<double> second(channels);
    const auto largest = [](std::vector<double>& of, std::int64_t channel, float v) {
      double& m = of[static_cast<std::size_t>(channel)];
      m = std::max(m, std::abs(static_cast<double>(v)));
    };
    float* wa = a.weight.mutable_data<float>();
    float* wb = b.weight.mutable_data<float>();
    for (std::int64_t i = 0; i < a.weight.numel(); ++i) largest(first, a.layout.out_of(i), wa[i]);
    for (std::int64_t i = 0; i < b.weight.numel(); ++i) {
      largest(second, b.layout.in_of(i) / pair.inner, wb[i]);
    }
    double moved = 0;
    std::vector<double> scales(channels, 1.0);
    for (std::size_t c = 0; c < channels; ++c) {
      if (first[c] == 0 || second[c] == 0) continue;  // a dead channel has no range to balance
      const double s = std::clamp(std::sqrt(first[c] / second[c]), 1 / kLargestScale, kLargestScale);
      if (std::abs(static_cast<double>(a.bias[c])) / s > 1e30) continue;
      scales[c] = s;
      moved = std::max(moved, std::abs(std::log(s)));
    }
    for (std::int64_t i = 0; i < a.weight.numel(); ++i) {
      wa[i] = static_cast<float>(static_cast<double>(wa[i]) / at(scales, a.layout.out_of(i)));
    }
    for (std::size_t c = 0; c < channels; ++c) {
      a.bias[c] = static_cast<float>(static_cast<double>(a.bias[c]) / scales[c]);
    }
    for (std::int64_t i = 0; i < b.weight.numel(); ++i) {
      wb[i] = static_cast<float>(static_cast<double>(wb[i]) * at(scales, b.layout.in_of(i) / pair.inner));
    }
    return moved;
  }

  void put_back() {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      Weights& w = weights_[i];
      if (!w.weight.defined()) continue;
      set_constant(graph_, graph_.nodes[i], 1, {}, w.weight);
      if (w.has_bias) set_bias(graph_, graph_.nodes[i], w.bias);
    }
  }

 private:
  static double at(const std::vector<double>& scales, std::int64_t c) {
    return scales[static_cast<std::size_t>(c)];
  }

  Graph& graph_;
  std::vector<Weights> weights_;  // by node
};

void remove_limit(Node& node) {
  Range& range = has_weight(node) ? limits_of(node) : std::get<Clip>(node.op).range;
  range.hi = std::numeric_limits<float>::infinity();
}

}  // namespace

Equalization equalize(Graph& graph, bool replace_clips) {
  Equalization result;
  const Uses uses(graph);
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    std::optional<Pair> pair = pair_from(graph, uses, i);
    if (!pair) continue;
    if (!pair->limited.empty() && !replace_clips) {
      result.limited.push_back(graph.nodes[i].name);
      continue;
    }
    for (const std::size_t node : pair->limited) remove_limit(graph.nodes[node]);
    result.clips += pair->limited.size();
    pairs.push_back(std::move(*pair));
  }
  result.pairs = pairs.size();
  if (pairs.empty()) return result;
  Equalizer equalizer(graph);
  for (const Pair& pair : pairs) {
    equalizer.take(pair.first);
    equalizer.take(pair.second);
  }
  for (double moved = 1; moved > kRest && result.rounds < kRounds; ++result.rounds) {
    moved = 0;
    for (const Pair& pair : pairs) moved = std::max(moved, equalizer.balance(pair));
  }
  equalizer.put_back();
  return result;
}

}  // namespace qconv::graph
