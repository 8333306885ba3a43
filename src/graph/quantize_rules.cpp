#include "graph/quantize_rules.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include <fmt/ranges.h>

#include "support/check.hpp"
#include "support/glob.hpp"

namespace qconv {
namespace {

using graph::Node;
using graph::ValueId;

// The operator that rules know an input of the network by.
constexpr std::string_view kInput = "Input";

bool any_fits(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return p == name || glob_match(p, name); });
}

std::string describe(const QuantizeOptions& options, const QuantizeRule& rule) {
  if (!rule.where.empty()) return rule.where;
  return fmt::format("quantize: rules[{}]", &rule - options.rules.data());
}

void check_observer(const Observer* observer) {
  check(observer != nullptr, "quantize: the activation observer factory made nothing");
  const DType dtype = observer->dtype();
  check<TypeError>((dtype == quint8 || dtype == qint8) && !is_per_channel(observer->qscheme()),
                   "quantize: activations are quantized to quint8 or qint8 per tensor; the observer is {}",
                   observer->to_string());
}

}  // namespace

LayerSettings::LayerSettings(const graph::Graph& graph, const QuantizeOptions& options)
    : graph_(graph), options_(options), uses_(graph) {
  check_exclusions();
  check_rules();
}

bool LayerSettings::fits(const QuantizeRule& rule, std::string_view name, std::string_view op) const {
  return (rule.layer == name || glob_match(rule.layer, name)) && glob_match(rule.op, op);
}

void LayerSettings::check_exclusions() const {
  const auto& nodes = graph_.nodes;
  for (const std::string& name : options_.exclude_layers) {
    const bool known =
        std::any_of(nodes.begin(), nodes.end(), [&](const Node& n) { return any_fits({name}, n.name); });
    check(known, "quantize: exclude_layers names '{}', which the network does not have", name);
  }
  for (const std::string& op : options_.exclude_ops) {
    const bool known =
        std::any_of(nodes.begin(), nodes.end(), [&](const Node& n) { return any_fits({op}, op_name(n.op)); });
    check(known, "quantize: exclude_ops names '{}', which the network does not have", op);
  }
}

void LayerSettings::check_rules() const {
  for (const QuantizeRule& rule : options_.rules) {
    check(rule.exclude || rule.per_channel || rule.activation,
          "{}: it changes nothing; set exclude, per_channel or an activation observer",
          describe(options_, rule));
    const auto& nodes = graph_.nodes;
    const auto& inputs = graph_.inputs;
    const bool known = std::any_of(nodes.begin(), nodes.end(),
                                   [&](const Node& n) { return fits(rule, n.name, op_name(n.op)); }) ||
                       std::any_of(inputs.begin(), inputs.end(),
                                   [&](ValueId v) { return fits(rule, graph_.value(v).name, kInput); });
    if (known) continue;
    std::set<std::string_view> ops{kInput};
    for (const Node& n : nodes) ops.insert(op_name(n.op));
    throw ValueError(fmt::format("{}: no layer fits name '{}' and operator '{}'; the operators are {}",
                                 describe(options_, rule), rule.layer, rule.op, fmt::join(ops, ", ")));
  }
}

bool LayerSettings::excluded(const Node& node) const {
  bool excluded =
      any_fits(options_.exclude_layers, node.name) || any_fits(options_.exclude_ops, op_name(node.op));
  for (const QuantizeRule& rule : options_.rules) {
    if (rule.exclude && fits(rule, node.name, op_name(node.op))) excluded = *rule.exclude;
  }
  return excluded;
}

bool LayerSettings::per_channel(const Node& node) const {
  bool per_channel = options_.per_channel;
  for (const QuantizeRule& rule : options_.rules) {
    if (rule.per_channel && fits(rule, node.name, op_name(node.op))) per_channel = *rule.per_channel;
  }
  return per_channel;
}

const std::string& LayerSettings::name(ValueId value) const {
  const int producer = uses_.producer(value);
  return producer < 0 ? graph_.value(value).name : graph_.nodes[static_cast<std::size_t>(producer)].name;
}

std::vector<std::unique_ptr<Observer>> LayerSettings::observers(const std::vector<ValueId>& values) const {
  check(static_cast<bool>(options_.activation), "quantize: there is no activation observer");
  std::vector<std::unique_ptr<Observer>> observers;
  std::vector<bool> used(options_.rules.size());
  for (const ValueId v : values) {
    const int producer = uses_.producer(v);
    const std::string_view op =
        producer < 0 ? kInput : op_name(graph_.nodes[static_cast<std::size_t>(producer)].op);
    const ObserverFactory* factory = &options_.activation;
    for (std::size_t i = 0; i < used.size(); ++i) {
      const QuantizeRule& rule = options_.rules[i];
      if (!rule.activation || !fits(rule, name(v), op)) continue;
      factory = &rule.activation;
      used[i] = true;
    }
    observers.push_back((*factory)());
    check_observer(observers.back().get());
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    check(used[i] || !options_.rules[i].activation,
          "{}: it sets an observer, but the layers that it fits stay float or only move what others compute",
          describe(options_, options_.rules[i]));
  }
  return observers;
}

}  // namespace qconv
