#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <qconv/quantize_network.hpp>

#include "graph/ir.hpp"

namespace qconv {

/// What QuantizeOptions say about each layer of a graph. Both must outlive it.
class LayerSettings {
 public:
  /// Throws ValueError for an exclusion or a rule that fits no layer, or a rule that changes nothing.
  LayerSettings(const graph::Graph& graph, const QuantizeOptions& options);

  bool excluded(const graph::Node& node) const;
  bool per_channel(const graph::Node& node) const;
  /// A fresh observer for each of these activations, which are watched. Throws ValueError when a rule sets an
  /// observer but fits none of them, TypeError for observers that activations cannot have.
  std::vector<std::unique_ptr<Observer>> observers(const std::vector<graph::ValueId>& values) const;
  /// What messages call an activation: its layer, or the input that it is.
  const std::string& name(graph::ValueId value) const;

 private:
  bool fits(const QuantizeRule& rule, std::string_view name, std::string_view op) const;
  void check_exclusions() const;
  void check_rules() const;

  const graph::Graph& graph_;
  const QuantizeOptions& options_;
  graph::Uses uses_;
};

}  // namespace qconv
