#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "graph/ir.hpp"

/// Rewrites of a graph, one file each. All keep what the network computes: up to float rounding where
/// constants are combined, and exactly otherwise. They return how many nodes they took away or changed.
namespace qconv::graph {

/// Conv + BatchNorm, ConvTranspose + BatchNorm and Linear + BatchNorm become one node (torch-semantics 3.5):
/// with r = 1 / sqrt(variance + epsilon), weight' = weight * (scale * r) along the output channels, bias' =
/// (bias
/// - mean) * r * scale + shift.
int fold_batch_norm(Graph& graph);

/// A Pad before a convolution becomes the convolution's own padding: constant 0 is added to padding with
/// zeros, other modes need a convolution without padding. Transposed convolutions keep their Pad: their
/// padding crops.
int fold_pad(Graph& graph);

/// Conv + Add of a constant per channel, and Linear + Add of a constant: into the bias.
int fold_bias(Graph& graph);

/// Relu and Clip become the output range of the Conv, Linear, Add or Clip before them.
int fuse_relu(Graph& graph);

/// A residual Add becomes part of the convolution that makes one of its operands, the later one if both do.
int fuse_add(Graph& graph);

/// Groups of element-wise nodes that compute one of the functions of UnaryKind become that function: x *
/// Sigmoid(x) is SiLU, and so on. What a group computes is found by trying it on numbers.
int recognize_functions(Graph& graph);

/// Add, Sub, Mul and Div with a constant become BatchNorm, where the constant is one number per channel and a
/// convolution comes before or the channels differ, or a function of one number.
int fold_scale(Graph& graph);

/// A Transpose that puts the channels last moves behind what can as well work on channels first: functions of
/// one number, or of two with a constant, LayerNorm over the channels, Linear (a convolution of one tap
/// then). Meeting its inverse, both vanish.
int move_transpose(Graph& graph);

/// All of the above, in the order in which they help each other; for float graphs and for those with
/// Quantize and Dequantize nodes.
void fuse(Graph& graph);

/// Sizes of all values again, after the graph changed. Throws ValueError when they do not fit together.
void infer_shapes(Graph& graph);

/// Dequantize -> operation -> Quantize becomes the operation on integers, for everything that has one: Conv,
/// ConvTranspose and Linear with int8 weights, Add, Concat, average pooling, Resize, Clip. Operations that
/// only move or compare elements (MaxPool, Reshape, Pad, ...) move to the integer side of a Dequantize.
/// Quantize of a Dequantize vanishes, or becomes a Clip that changes the parameters.
int lower_qdq(Graph& graph);

/// Whether the operation only moves or compares elements of its first input, so that it may run on the
/// integers instead.
bool keeps_qparams(const Op& op);
/// Whether the operation can compute with integers whose parameters change on the way; Conv and Linear need
/// int8 weights for it.
bool has_integer_form(const Op& op);
/// Whether the input of such a node is an activation: not a weight, not sizes, not absent.
bool is_activation(const Node& node, std::size_t input);

/// Activations that must be quantized so that lower_qdq finds integer operations, and the parameters chosen.
struct ActivationParams {
  QParams qparams;
  DType dtype;
};
/// Nodes to leave in float.
using Excluded = std::function<bool(const Node&)>;
/// Whether quantization makes the node compute with integers.
bool quantizable(const Graph& graph, const Node& node, const Excluded& excluded);
/// Behind operations that only move elements, the value that they move: the one to quantize.
ValueId moved_from(const Graph& graph, const Uses& uses, ValueId v, const Excluded& excluded);
/// The activations of a fused float graph that quantization needs the ranges of.
std::vector<ValueId> activations_to_observe(const Graph& graph, const Excluded& excluded);
/// Parameters of values that only functions with flat ends read (hard-swish below -3, sigmoid beyond 8, ...)
/// are chosen anew for where the functions change: finer steps at no cost.
int narrow_ranges(const Graph& graph, std::map<ValueId, ActivationParams>& activations);
/// A weight of a Conv or Linear node, quantized to qint8; `axis` is that of its output channels.
using QuantizeWeight = std::function<Tensor(const Node& node, const Tensor& weight, int axis)>;
/// Puts Quantize and Dequantize around the activations and quantizes the weights; lower_qdq does the rest.
void insert_qdq(Graph& graph, const std::map<ValueId, ActivationParams>& activations,
                const Excluded& excluded, const QuantizeWeight& quantize_weight);

/// The limits of an operation's results, null when it has none.
Range* range_of(Op& op);

/// Whether all elements of a float32 tensor are finite. Constants are combined only into such: a weight or
/// bias that overflowed would not be read back from a file.
bool all_finite(const Tensor& tensor);

/// A float32 constant as one number, or as one for each of `channels` channels along `axis` of a result of
/// `rank` dimensions; nothing when it is neither.
std::vector<float> per_channel(const Tensor& constant, int rank, int axis, std::int64_t channels);

/// Removes the nodes marked in `gone`, one mark per node; the others keep their order.
inline void remove_nodes(Graph& graph, const std::vector<bool>& gone) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (gone[i]) continue;
    if (kept != i) graph.nodes[kept] = std::move(graph.nodes[i]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

}  // namespace qconv::graph
