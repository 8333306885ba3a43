#pragma once

#include <memory>
#include <span>
#include <string>

#include <qconv/float_convolution.hpp>
#include <qconv/packed_params.hpp>

#include "graph/ir.hpp"
#include "ops/byte_map.hpp"
#include "ops/prepack.hpp"

namespace qconv::graph {

/// What a node needs to run, made ready once: weights packed for an engine, or for the float library.
/// Immutable.
struct Layer {
  PackedParams packed;
  std::shared_ptr<const FloatConvolution> convolution;
  std::shared_ptr<const FloatLinear> linear;
  std::shared_ptr<const ops::ByteMap> table;  ///< of a function of one number on integers

  bool ready() const noexcept { return packed != nullptr || convolution != nullptr || linear != nullptr; }
};

/// Works out the table of a UnaryOp between integers.
Layer prepare_table(const Graph& graph, const Node& node);
/// Packs the weights of a Conv or Linear node. The padding of a Conv must be settled (AutoPad::given, no
/// output shape). `engine` as in NetworkOptions; weights may serve as `use` says.
Layer prepare_layer(const Graph& graph, const Node& node, const std::string& engine,
                    const ops::PackUse& use = {});

/// Runs the node: `inputs` are those of the node (null for absent ones), `result` has the sizes, dtype and
/// parameters that the result must have, and its elements are not read. The result may lie in any memory and
/// format.
Tensor run_layer(const Node& node, const Layer& layer, std::span<const Tensor* const> inputs,
                 const Tensor& result);

}  // namespace qconv::graph
