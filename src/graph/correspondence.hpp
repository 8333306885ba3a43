#pragma once

#include <string>
#include <vector>

#include "graph/ir.hpp"

namespace qconv::graph {

/// Which values of a network stand for which of the network that it was made of. Layers go by their names;
/// what quantization puts between them (Quantize, Dequantize, a limit of its own) stands for what it is
/// applied to.
class Correspondence {
 public:
  Correspondence(const Graph& reference, const Graph& other);

  /// The value of the reference that the value of the other stands for, or kNoValue.
  ValueId value(ValueId other) const { return values_[static_cast<std::size_t>(other)]; }
  /// The node of the reference with the name of a node of the other, or -1.
  int node(std::size_t other) const { return nodes_[other]; }
  /// Limits that the reference's node applies and the other's leaves to a node behind it; comparing needs
  /// them.
  const Range& rest(std::size_t other) const { return rests_[other]; }

 private:
  std::vector<ValueId> values_;
  std::vector<int> nodes_;
  std::vector<Range> rests_;
};

}  // namespace qconv::graph
