#include "graph/layer_info.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/ranges.h>

#include "support/check.hpp"

namespace qconv::graph {
namespace {

std::string describe_range(const Range& range) {
  if (range == Range{.lo = 0}) return "relu";
  return fmt::format("clip({}, {})", range.lo, range.hi);
}

struct Detail {
  const Node& node;

  std::string operator()(const Conv& c) const {
    std::vector<std::string> parts;
    if (c.geometry.padding_mode != PaddingMode::zeros) {
      parts.push_back(fmt::format("{} padding", to_string(c.geometry.padding_mode)));
    }
    if (node.input(3) != kNoValue) parts.emplace_back("add");
    if (!c.range.unlimited()) parts.push_back(describe_range(c.range));
    return fmt::format("{}", fmt::join(parts, " + "));
  }
  std::string operator()(const Linear& l) const { return l.range.unlimited() ? "" : describe_range(l.range); }
  std::string operator()(const Add& a) const { return a.range.unlimited() ? "" : describe_range(a.range); }
  std::string operator()(const BatchNorm& b) const {
    return b.range.unlimited() ? "" : describe_range(b.range);
  }
  std::string operator()(const UnaryOp& u) const { return u.function.to_string(); }
  std::string operator()(const Clip& c) const {
    return c.range.unlimited() ? "requantize" : c.range == Range{.lo = 0} ? "" : describe_range(c.range);
  }
  std::string operator()(const Pad& p) const { return std::string(to_string(p.mode)); }
  std::string operator()(const Resize& r) const { return std::string(to_string(r.mode)); }
  template <class Other>
  std::string operator()(const Other&) const {
    return "";
  }
};

// Inputs that are weights rather than activations.
bool is_weight(const Node& node, std::size_t input) {
  if (std::holds_alternative<Conv>(node.op)) return input == 1 || input == 2;
  return input > 0 &&
         (std::holds_alternative<Linear>(node.op) || std::holds_alternative<BatchNorm>(node.op) ||
          std::holds_alternative<LayerNorm>(node.op) || std::holds_alternative<InstanceNorm>(node.op));
}

bool shape_argument(const Node& node, std::size_t input) {
  return input > 0 && (std::holds_alternative<Reshape>(node.op) || std::holds_alternative<Resize>(node.op) ||
                       std::holds_alternative<Slice>(node.op) || std::holds_alternative<Gather>(node.op) ||
                       std::holds_alternative<Expand>(node.op));
}

std::int64_t multiply_adds(const Node& node, const LayerInfo& layer) {
  const auto known = [](const ValueInfo& v) {
    return v.sizes && std::all_of(v.sizes->begin(), v.sizes->end(), [](auto s) { return s >= 0; });
  };
  if (layer.inputs.empty() || !known(layer.inputs[0]) || !known(layer.output)) return 0;
  if (std::holds_alternative<Linear>(node.op))
    return layer.output.sizes->numel() * (*layer.inputs[0].sizes)[layer.inputs[0].sizes->rank() - 1];
  const auto* conv = std::get_if<Conv>(&node.op);
  if (conv == nullptr) return 0;
  const ConvGeometry& g = conv->geometry;
  return g.transposed ? layer.inputs[0].sizes->numel() * g.taps() * g.out_channels_per_group()
                      : layer.output.sizes->numel() * g.reduction();
}

// With a plan, the sizes that values have in it.
LayerInfo describe_layer(const Graph& graph, const Node& node, const Layer& layer, const Plan* plan,
                         const Plan::Step* step) {
  LayerInfo info;
  info.name = node.name;
  info.op = op_name(node.op);
  info.detail = std::visit(Detail{node}, node.op);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue || is_weight(node, i) || shape_argument(node, i)) continue;
    info.inputs.push_back(describe(graph.value(node.inputs[i])));
    if (step != nullptr && step->slots[i] >= 0) {
      info.inputs.back().sizes = plan->slots[static_cast<std::size_t>(step->slots[i])].sizes;
    }
  }
  info.output = describe(graph.value(node.output));
  if (step != nullptr) info.output.sizes = plan->slots[static_cast<std::size_t>(step->result)].sizes;
  const WeightCount count = count_weights(graph, node);
  info.parameters = count.parameters;
  info.weight_bytes = count.bytes;
  if (has_weight(node)) info.weight_dtype = graph.value(node.inputs[1]).dtype;
  info.multiply_adds = multiply_adds(node, info);
  info.quantized = computes_with_integers(graph, node);
  if (layer.packed != nullptr) {
    info.engine = layer.packed->engine();
    info.kernel = layer.packed->kernel();
  } else if (layer.convolution != nullptr) {
    info.engine = float_library();
    if (step != nullptr && !info.inputs.empty())
      info.kernel = layer.convolution->kernel(*info.inputs[0].sizes);
  } else if (layer.linear != nullptr) {
    info.engine = float_library();
  }
  return info;
}

}  // namespace

ValueInfo describe(const Value& value) { return {value.name, value.dtype, value.sizes, value.qparams}; }

WeightCount count_weights(const Graph& graph, const Node& node) {
  WeightCount count;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue || !is_weight(node, i)) continue;
    const Value& v = graph.value(node.inputs[i]);
    count.parameters += v.constant.numel();
    count.bytes += static_cast<std::size_t>(v.constant.numel()) * element_size(v.dtype);
  }
  return count;
}

bool computes_with_integers(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || node.inputs[0] == kNoValue) return false;
  return is_quantized(graph.value(node.inputs[0]).dtype) && is_quantized(graph.value(node.output).dtype);
}

std::vector<LayerInfo> describe_layers(const Graph& graph, const Executor& executor, const Plan* plan) {
  std::vector<LayerInfo> layers;
  if (plan != nullptr) {
    for (const Plan::Step& step : plan->steps) {
      layers.push_back(describe_layer(graph, graph.nodes[step.node], *step.layer, plan, &step));
    }
    return layers;
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (graph.value(node.output).early) continue;  // arithmetic on sizes
    layers.push_back(describe_layer(graph, node, executor.layer(i), nullptr, nullptr));
  }
  return layers;
}

std::string layer_table(const std::vector<LayerInfo>& layers) {
  constexpr std::array<std::string_view, 6> kHeader{"layer", "op", "output", "dtype", "parameters", "kernel"};
  std::vector<std::array<std::string, 6>> rows;
  rows.push_back({});
  std::copy(kHeader.begin(), kHeader.end(), rows[0].begin());
  for (const LayerInfo& l : layers) {
    rows.push_back(
        {l.name, l.detail.empty() ? l.op : fmt::format("{} + {}", l.op, l.detail),
         l.output.sizes ? l.output.sizes->to_string() : "?", std::string(to_string(l.output.dtype)),
         l.parameters == 0 ? "" : std::to_string(l.parameters), l.kernel.empty() ? l.engine : l.kernel});
  }
  std::array<std::size_t, 6> widths{};
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format("{:<{}}  ", row[c], widths[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

void check_input_sizes(const Graph& graph, std::span<const Shape> input_sizes) {
  check(input_sizes.size() == graph.inputs.size(), "the network has {} inputs, got {} sizes",
        graph.inputs.size(), input_sizes.size());
  for (std::size_t i = 0; i < input_sizes.size(); ++i) {
    const Value& declared = graph.value(graph.inputs[i]);
    const Shape& given = input_sizes[i];
    const bool possible = std::all_of(given.begin(), given.end(), [](auto s) { return s >= 0; });
    check(possible && sizes_fit(declared.sizes, given), "input '{}' must have sizes {}, got {}",
          declared.name, declared.sizes ? declared.sizes->to_string() : "", given.to_string());
  }
}

}  // namespace qconv::graph
