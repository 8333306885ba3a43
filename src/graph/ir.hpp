#pragma once

#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/resize.hpp>
#include <qconv/tensor.hpp>
#include <qconv/unary.hpp>

/// A network as data: values, and the nodes that compute them. Passes rewrite it; the executor runs it.
/// Nothing here knows a file format or a kernel.
///
/// Quantization is data too: a node whose values have a quantized dtype is an integer operation, the same
/// node over float32 values is a float one.
namespace qconv::graph {

/// Index of a value in Graph::values.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// A size that is only known when the network runs.
inline constexpr std::int64_t kDynamic = -1;

/// Results are limited to [lo, hi]: a fused ReLU is [0, inf).
struct Range {
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
  bool unlimited() const noexcept {
    return lo == -std::numeric_limits<float>::infinity() && hi == std::numeric_limits<float>::infinity();
  }
  friend bool operator==(const Range&, const Range&) = default;
};
/// What remains when `second` limits the result of `first`.
Range intersect(const Range& first, const Range& second) noexcept;

/// How the padding of a window follows from the input size. `given` is what the geometry says.
enum class AutoPad { given, same_upper, same_lower };

/// Inputs: x, weight, bias or none, addend or none. The weight and the bias are constants; the addend has the
/// output's sizes and is added before the range is applied.
struct Conv {
  ConvGeometry geometry;
  AutoPad auto_pad = AutoPad::given;
  std::vector<std::int64_t> output_shape;  ///< spatial sizes asked of a transposed convolution, or empty
  Range range;
};
/// Input: x (..., K); weight (M, K) and bias (M) or none, constants. Output (..., M).
struct Linear {
  Range range;
};
/// Inputs: x, scale, bias, mean, variance; all but x are constants with one element per channel.
struct BatchNorm {
  double epsilon = 1e-5;
  Range range;
};
/// Input: x. Between quantized values it also changes the parameters: it is requantization.
struct Clip {
  Range range;
};
/// Inputs: a, b, of equal sizes or broadcast as in NumPy (integers only).
struct Add {
  Range range;
};
/// Input: x. A table on integers.
struct UnaryOp {
  Unary function;
};
/// Inputs: a, b, of equal sizes or broadcast as in NumPy.
enum class BinaryKind { sub, mul, div, pow, min, max };
struct Binary {
  BinaryKind kind = BinaryKind::mul;
};
enum class PoolKind { max, average };
/// Input: x. The channels of `window` are not used.
struct Pool {
  PoolKind kind = PoolKind::max;
  ConvGeometry window;
  AutoPad auto_pad = AutoPad::given;
  bool ceil_mode = false;
  bool count_include_pad = false;
};
struct GlobalAveragePool {};
/// Input: x. Over all dimensions where there are no axes.
struct Mean {
  std::vector<std::int64_t> axes;
  bool keep_dims = true;
};
/// Inputs: x, scale, bias or none; constants of one element per index along `axis`.
struct LayerNorm {
  int axis = -1;
  double epsilon = 1e-5;
};
/// Inputs: x, scale, bias; constants of one element per channel.
struct InstanceNorm {
  double epsilon = 1e-5;
};
struct Flatten {
  int axis = 1;
};
/// Inputs: x, shape (int64: 0 copies a size unless `allow_zero`, -1 is what remains).
struct Reshape {
  bool allow_zero = false;
};
/// `begin` and `end` per dimension; negative values crop. `constant` is the value of the mode zeros.
struct Pad {
  PaddingMode mode = PaddingMode::zeros;
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;
  float constant = 0;
};
struct Concat {
  int axis = 1;
};
struct Transpose {
  std::vector<std::int64_t> permutation;
};
/// Inputs: x, sizes (int64, one per dimension) or none. `scales` has one factor per dimension, or none where
/// the sizes alone decide. Batch and channels keep their sizes.
struct Resize {
  ResizeMode mode = ResizeMode::nearest;
  CoordinateMode coordinates = CoordinateMode::half_pixel;
  NearestMode nearest_mode = NearestMode::round_prefer_floor;
  double cubic_coeff_a = -0.75;
  std::vector<float> scales;
};
struct Softmax {
  int axis = -1;
};
/// Inputs: x, real; the output value's parameters say how.
struct Quantize {};
struct Dequantize {};

/// Moving elements about, and arithmetic on sizes: what exporters put around Reshape, Pad and Resize is
/// evaluated when the input sizes are known.
struct ShapeOf {
  int start = 0;
  int end = std::numeric_limits<int>::max();
};
struct Gather {
  int axis = 0;
};
struct Unsqueeze {
  std::vector<std::int64_t> axes;
};
struct Squeeze {
  std::vector<std::int64_t> axes;
};
struct Cast {
  DType to = DType::int64;
};
/// Inputs: x, starts, ends, axes or none, steps or none.
struct Slice {};
/// Input: shape.
struct ConstantOfShape {
  Tensor value;  ///< one element
};
/// Inputs: x, shape (int64): x repeated as NumPy's broadcasting to that shape does.
struct Expand {};

using Op =
    std::variant<Conv, Linear, BatchNorm, Clip, Add, UnaryOp, Binary, Pool, GlobalAveragePool, Mean,
                 LayerNorm, InstanceNorm, Flatten, Reshape, Pad, Concat, Transpose, Resize, Softmax, Quantize,
                 Dequantize, ShapeOf, Gather, Unsqueeze, Squeeze, Cast, Slice, ConstantOfShape, Expand>;

/// "Conv", "ConvTranspose", "MaxPool", ...: ONNX's name of what the node does.
std::string_view op_name(const Op& op) noexcept;

struct Value {
  std::string name;
  DType dtype = DType::float32;
  /// Parameters of a quantized value; per tensor.
  std::optional<QParams> qparams;
  /// Sizes with kDynamic for unknown ones; nothing when not even the rank is known.
  std::optional<Shape> sizes;
  /// A constant as it is stored, undefined when a node or the caller provides the elements. A float32 value
  /// may be stored as the int8 tensor that it is dequantized from: a quarter of the memory, and often all
  /// that is asked for.
  Tensor constant;
  /// Whether it is a constant or arithmetic on sizes: known before anything runs.
  bool early = false;

  bool is_constant() const noexcept { return constant.defined(); }
  /// Whether it is a float32 constant that is stored as an int8 tensor.
  bool is_stored_as_int8() const noexcept { return dtype == DType::float32 && constant.is_quantized(); }
  /// The elements of a constant, of the value's dtype.
  Tensor elements() const { return is_stored_as_int8() ? constant.dequantize() : constant; }
};

/// One operation with one result.
struct Node {
  std::string name;
  Op op;
  std::vector<ValueId> inputs;
  ValueId output = kNoValue;

  ValueId input(std::size_t i) const noexcept { return i < inputs.size() ? inputs[i] : kNoValue; }
};

/// Whether the node has a weight: a Conv or a Linear.
inline bool has_weight(const Node& node) {
  return std::holds_alternative<Conv>(node.op) || std::holds_alternative<Linear>(node.op);
}

/// Nodes are in an order in which they can run. Values that nothing uses may remain.
struct Graph {
  std::string name = "qconv";
  std::deque<Value> values;  ///< references stay valid while values are added
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;

  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  ValueId add_value(Value v);
  ValueId add_constant(std::string value_name, Tensor tensor);
  /// A float32 constant that is stored as this int8 tensor.
  ValueId add_dequantized_constant(std::string value_name, Tensor int8);
};

/// Who makes and who reads each value; a snapshot, stale after the graph changes.
class Uses {
 public:
  explicit Uses(const Graph& graph);
  /// Index of the node that computes the value, or -1.
  int producer(ValueId id) const { return producers_[static_cast<std::size_t>(id)]; }
  /// Indices of the nodes that read it, once per reading input.
  const std::vector<int>& readers(ValueId id) const { return readers_[static_cast<std::size_t>(id)]; }
  bool is_output(ValueId id) const { return outputs_[static_cast<std::size_t>(id)]; }
  /// The only reader of a value that is no output of the network, or -1.
  int only_reader(ValueId id) const {
    return !is_output(id) && readers(id).size() == 1 ? readers(id)[0] : -1;
  }

 private:
  std::vector<int> producers_;
  std::vector<std::vector<int>> readers_;
  std::vector<bool> outputs_;
};

/// Every reader of `from`, the network's outputs included, reads `to` instead.
void replace_value(Graph& graph, ValueId from, ValueId to);
/// Drops the nodes whose results lead to no output.
void remove_dead_nodes(Graph& graph);
/// Orders the nodes so that each follows the makers of its inputs, otherwise keeping their order. Throws
/// ValueError, naming a node, when there is a cycle.
void sort_nodes(Graph& graph);

/// An order in which each of `needs.size()` items follows the items it needs.
struct Ordering {
  std::vector<std::size_t> order;
  /// An item on a cycle, or -1; `order` is incomplete then.
  int on_cycle = -1;
};
Ordering topological_order(const std::vector<std::vector<std::size_t>>& needs);

}  // namespace qconv::graph
