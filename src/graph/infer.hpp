#pragma once

#include <span>

#include "graph/ir.hpp"

namespace qconv::graph {

/// What is known about a value at some moment: when a file is read, or when a network meets an input.
struct Fact {
  DType dtype = DType::float32;
  std::optional<Shape> sizes;  ///< kDynamic for a size that is not known
  Tensor tensor;  ///< the elements as they are stored (Value::constant), where they are known early

  Tensor elements() const {
    return dtype == DType::float32 && tensor.is_quantized() ? tensor.dequantize() : tensor;
  }
};

/// Sizes and dtype of the node's result, from what is known of its inputs (absent ones have an empty Fact);
/// not its elements. Throws ValueError when the inputs do not fit the node.
Fact infer(const Node& node, std::span<const Fact> inputs);

/// The elements of the node's result, when the node is arithmetic on sizes or moves elements about and all
/// its inputs are known; else an undefined tensor. `budget` is how many bytes may still be made this way;
/// throws ValueError when it runs out, so that a small file cannot ask for a large memory.
Tensor evaluate(const Node& node, std::span<const Fact> inputs, std::size_t& budget);

/// What the graph says about the inputs of a node.
std::vector<Fact> facts_of(const Graph& graph, const Node& node);

}  // namespace qconv::graph
