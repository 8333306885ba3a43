// A graph::Graph becomes an ONNX model, node by node.
#include <cmath>
#include <numbers>

#include "io/onnx.hpp"
#include "io/onnx_tensor.hpp"
#include "io/onnx_writer.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::kNoValue;
using graph::Node;
using graph::Range;
using graph::ValueId;

namespace {

onnx::AttributeProto* attribute(onnx::NodeProto& node, std::string_view name,
                                onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto* a = node.add_attribute();
  a->set_name(std::string(name));
  a->set_type(type);
  return a;
}

void set(onnx::NodeProto& node, std::string_view name, std::int64_t value) {
  attribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}
void set(onnx::NodeProto& node, std::string_view name, int value) { set(node, name, std::int64_t{value}); }
void set(onnx::NodeProto& node, std::string_view name, float value) {
  attribute(node, name, onnx::AttributeProto::FLOAT)->set_f(value);
}
void set(onnx::NodeProto& node, std::string_view name, std::string_view value) {
  attribute(node, name, onnx::AttributeProto::STRING)->set_s(std::string(value));
}
void set(onnx::NodeProto& node, std::string_view name, std::span<const std::int64_t> values) {
  onnx::AttributeProto* a = attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t v : values) a->add_ints(v);
}

std::string_view pad_mode(PaddingMode mode) {
  switch (mode) {
    case PaddingMode::zeros:
      return "constant";
    case PaddingMode::reflect:
      return "reflect";
    case PaddingMode::replicate:
      return "edge";
    case PaddingMode::circular:
      return "wrap";
  }
  return "";
}

void set_window(onnx::NodeProto& node, const ConvGeometry& g, graph::AutoPad auto_pad, bool own_padding) {
  set(node, "kernel_shape", g.used(g.kernel));
  set(node, "strides", g.used(g.stride));
  set(node, "dilations", g.used(g.dilation));
  if (auto_pad != graph::AutoPad::given) {
    set(node, "auto_pad", auto_pad == graph::AutoPad::same_upper ? "SAME_UPPER" : "SAME_LOWER");
    return;
  }
  std::vector<std::int64_t> pads(2 * static_cast<std::size_t>(g.ndim), 0);
  for (std::size_t d = 0; d < static_cast<std::size_t>(g.ndim) && own_padding; ++d) {
    pads[d] = g.used(g.padding_begin)[d];
    pads[static_cast<std::size_t>(g.ndim) + d] = g.used(g.padding_end)[d];
  }
  set(node, "pads", pads);
}

Tensor integers(const std::vector<std::int64_t>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

std::string OnnxWriter::limited(const Node& node, const Range& range, const std::string& x,
                                const std::string& result) {
  if (range == Range{.lo = 0}) {
    add("Relu", node.name + "/relu", {x}, result);
    return result;
  }
  Names inputs{x, std::isinf(range.lo) ? "" : constant(Tensor::scalar(range.lo), node.name + "_min"),
               std::isinf(range.hi) ? "" : constant(Tensor::scalar(range.hi), node.name + "_max")};
  while (inputs.back().empty()) inputs.pop_back();
  add("Clip", node.name + "/clip", inputs, result);
  return result;
}

// What one kind of node becomes. Each returns nothing and leaves the real-valued result under result().
struct OnnxWriter::WriteOp {
  OnnxWriter& w;
  const Node& node;

  const graph::Value& output() const { return w.graph_.value(node.output); }
  bool quantized() const { return is_quantized(output().dtype); }
  // The name that the last operator before a possible QuantizeLinear gives its result.
  std::string last() const {
    if (quantized()) return w.unique(output().name);
    const auto reserved = w.stored_.find(node.output);
    return reserved != w.stored_.end() ? reserved->second
                                       : (w.stored_[node.output] = w.unique(output().name));
  }
  std::string x() const { return w.real(node.inputs[0]); }
  Names all_real() const {
    Names names;
    for (const ValueId v : node.inputs) names.push_back(v == kNoValue ? "" : w.real(v));
    while (!names.empty() && names.back().empty()) names.pop_back();
    return names;
  }

  // Limits and quantizes the result of the operator just added, as the node says.
  void finish(const Range& range, const std::string& before, const std::string& result) const {
    if (!range.unlimited()) w.limited(node, range, before, result);
    if (quantized()) quantize(result);
  }
  void quantize(const std::string& from) const {
    w.base_[node.output] = from;
    const std::string result = w.unique(from + "_quantized");
    w.add("QuantizeLinear", result, quantize_inputs(from), result);
    w.stored_[node.output] = result;
  }
  Names quantize_inputs(const std::string& from) const {
    Names inputs = w.params_of(*output().qparams, output().dtype, from);
    inputs.insert(inputs.begin(), from);
    return inputs;
  }
  // A single operator over all inputs.
  onnx::NodeProto& plain(std::string_view op) const { return plain(op, all_real()); }
  onnx::NodeProto& plain(std::string_view op, const Names& inputs) const {
    const std::string result = last();
    onnx::NodeProto& made = w.add(op, node.name, inputs, result);
    if (quantized()) quantize(result);
    return made;
  }
  std::string between(std::string_view suffix) const {
    return w.unique(fmt::format("{}/{}", node.name, suffix));
  }

  static void write_layer_norm(onnx::NodeProto& norm, const graph::LayerNorm& l) {
    set(norm, "axis", -1);
    set(norm, "epsilon", static_cast<float>(l.epsilon));
  }
  // The permutation that takes `axis` to the end, or back from there.
  static std::vector<std::int64_t> turn(int rank, int axis, bool there) {
    std::vector<std::int64_t> permutation;
    for (std::int64_t d = 0; d < rank; ++d) {
      if (d != (there ? axis : rank - 1)) permutation.push_back(d);
    }
    permutation.insert(there ? permutation.end() : permutation.begin() + axis, there ? axis : rank - 1);
    return permutation;
  }

  // Steps of one input each, the last of which gives the result; a step may also read what came before.
  struct Steps {
    const WriteOp& op;
    std::string result = op.last();
    int made = 0;

    std::string number(float v) const {
      return op.w.constant(Tensor::scalar(v), fmt::format("{}_{}", op.node.name, "number"));
    }
    std::string step(std::string_view name, const Names& inputs) {
      std::string to = op.between(fmt::format("step_{}", ++made));
      op.w.add(name, fmt::format("{}/{}", op.node.name, made), inputs, to);
      return to;
    }
    onnx::NodeProto& finish(std::string_view name, const Names& inputs) {
      return op.w.add(name, op.node.name, inputs, result);
    }
  };

  void write_function(const Unary& f) const {
    const std::string input = x();
    Steps s{*this};
    switch (f.kind) {
      case UnaryKind::silu:
        s.finish("Mul", {input, s.step("Sigmoid", {input})});
        break;
      case UnaryKind::mish:
        s.finish("Mul", {input, s.step("Tanh", {s.step("Softplus", {input})})});
        break;
      case UnaryKind::gelu: {
        const std::string erf =
            s.step("Erf", {s.step("Div", {input, s.number(std::numbers::sqrt2_v<float>)})});
        const std::string product = s.step("Mul", {input, s.step("Add", {erf, s.number(1)})});
        s.finish("Mul", {product, s.number(0.5F)});
        break;
      }
      case UnaryKind::gelu_tanh:
        w.need_opset(20);
        set(s.finish("Gelu", {input}), "approximate", "tanh");
        break;
      case UnaryKind::affine:
        s.finish("Add", {s.step("Mul", {input, s.number(f.alpha)}), s.number(f.beta)});
        break;
      case UnaryKind::pow:
        s.finish("Pow", {input, s.number(f.alpha)});
        break;
      default: {
        if (f.kind == UnaryKind::hardswish) w.need_opset(14);
        onnx::NodeProto& one = s.finish(op_name(node.op), {input});
        const bool alpha = f.kind == UnaryKind::elu || f.kind == UnaryKind::leaky_relu;
        if (alpha || f.kind == UnaryKind::hardsigmoid) set(one, "alpha", f.alpha);
        if (f.kind == UnaryKind::hardsigmoid) set(one, "beta", f.beta);
      }
    }
    if (quantized()) quantize(s.result);
  }

  void operator()(const graph::Conv& c) const {
    const ConvGeometry& g = c.geometry;
    std::string input = x();
    const bool own_padding = g.padding_mode == PaddingMode::zeros;
    if (!own_padding) {
      std::vector<std::int64_t> pads(2 * (static_cast<std::size_t>(g.ndim) + 2), 0);
      for (std::size_t d = 0; d < static_cast<std::size_t>(g.ndim); ++d) {
        pads[2 + d] = g.used(g.padding_begin)[d];
        pads[static_cast<std::size_t>(g.ndim) + 4 + d] = g.used(g.padding_end)[d];
      }
      if (g.padding_mode == PaddingMode::circular) w.need_opset(19);
      const std::string padded = between("padded");
      onnx::NodeProto& pad =
          w.add("Pad", node.name + "/pad", {input, w.constant(integers(pads), node.name + "_pads")}, padded);
      set(pad, "mode", pad_mode(g.padding_mode));
      input = padded;
    }
    Names inputs{input, w.weight(node.inputs[1])};
    if (node.input(2) != kNoValue) inputs.push_back(w.stored(node.inputs[2]));
    const bool add = node.input(3) != kNoValue;
    const std::string addend = add ? w.real(node.inputs[3]) : "";
    const std::string result = last();
    const std::string convolved = add || !c.range.unlimited() ? between("conv") : result;
    onnx::NodeProto& conv = w.add(g.transposed ? "ConvTranspose" : "Conv", node.name, inputs, convolved);
    set_window(conv, g, c.auto_pad, own_padding);
    set(conv, "group", g.groups);
    if (g.transposed) {
      set(conv, "output_padding", g.used(g.output_padding));
      if (!c.output_shape.empty()) set(conv, "output_shape", c.output_shape);
    }
    std::string sum = convolved;
    if (add) {
      sum = c.range.unlimited() ? result : between("sum");
      w.add("Add", node.name + "/add", {convolved, addend}, sum);
    }
    finish(c.range, sum, result);
  }
  void operator()(const graph::Linear& l) const {
    // Gemm is for matrices.
    if (!output().sizes || output().sizes->rank() != 2) return write_matmul(l);
    Names inputs{x(), w.weight(node.inputs[1])};
    if (node.input(2) != kNoValue) inputs.push_back(w.stored(node.inputs[2]));
    const std::string result = last();
    const std::string product = l.range.unlimited() ? result : between("gemm");
    onnx::NodeProto& gemm = w.add("Gemm", node.name, inputs, product);
    set(gemm, "transB", 1);
    finish(l.range, product, result);
  }
  void write_matmul(const graph::Linear& l) const {
    const Names inputs{x(), w.turned_weight(node.inputs[1])};
    const bool bias = node.input(2) != kNoValue;
    const std::string result = last();
    const std::string sum = l.range.unlimited() ? result : between("sum");
    const std::string product = bias ? between("product") : sum;
    w.add("MatMul", node.name, inputs, product);
    if (bias) w.add("Add", node.name + "/add", {product, w.stored(node.inputs[2])}, sum);
    finish(l.range, sum, result);
  }
  void operator()(const graph::BatchNorm& b) const {
    const Names inputs = all_real();
    const std::string result = last();
    const std::string normal = b.range.unlimited() ? result : between("normal");
    set(w.add("BatchNormalization", node.name, inputs, normal), "epsilon", static_cast<float>(b.epsilon));
    finish(b.range, normal, result);
  }
  void operator()(const graph::UnaryOp& u) const { write_function(u.function); }
  void operator()(const graph::Binary&) const { plain(op_name(node.op)); }
  void operator()(const graph::Mean& m) const {
    onnx::NodeProto& mean = plain("ReduceMean");
    if (!m.axes.empty()) set(mean, "axes", m.axes);
    set(mean, "keepdims", m.keep_dims ? 1 : 0);
  }
  void operator()(const graph::LayerNorm& l) const {
    w.need_opset(17);
    const int rank = output().sizes ? output().sizes->rank() : 0;
    if (l.axis == -1 || l.axis == rank - 1) {
      write_layer_norm(plain("LayerNormalization"), l);
      return;
    }
    // ONNX normalizes to the end: the axis goes there and comes back.
    Names inputs = all_real();
    const std::string turned = between("turned");
    set(w.add("Transpose", node.name + "/turn", {inputs[0]}, turned), "perm", turn(rank, l.axis, true));
    inputs[0] = turned;
    const std::string normal = between("normal");
    write_layer_norm(w.add("LayerNormalization", node.name, inputs, normal), l);
    set(w.add("Transpose", node.name + "/turn_back", {normal}, last()), "perm", turn(rank, l.axis, false));
  }
  void operator()(const graph::InstanceNorm& n) const {
    set(plain("InstanceNormalization"), "epsilon", static_cast<float>(n.epsilon));
  }
  void operator()(const graph::Expand&) const { plain("Expand"); }
  void operator()(const graph::Clip& c) const {
    const std::string input = x();
    if (c.range.unlimited() && quantized()) return quantize(input);
    if (c.range.unlimited()) {
      plain("Identity");
      return;
    }
    const std::string result = last();
    w.limited(node, c.range, input, result);
    w.proto_->mutable_node(w.proto_->node_size() - 1)->set_name(node.name);
    if (quantized()) quantize(result);
  }
  void operator()(const graph::Add& a) const {
    const Names inputs = all_real();
    const std::string result = last();
    const std::string sum = a.range.unlimited() ? result : between("sum");
    w.add("Add", node.name, inputs, sum);
    finish(a.range, sum, result);
  }
  void operator()(const graph::Pool& p) const {
    onnx::NodeProto& pool = plain(op_name(node.op));
    set_window(pool, p.window, p.auto_pad, true);
    if (p.kind == graph::PoolKind::average) {
      // AveragePool has no dilations before opset 19.
      auto* attributes = pool.mutable_attribute();
      for (int i = 0; i < attributes->size(); ++i) {
        if (attributes->at(i).name() != "dilations") continue;
        if (p.window.dilation != Spatial{1, 1, 1}) {
          w.need_opset(19);
        } else {
          attributes->DeleteSubrange(i, 1);
        }
        break;
      }
      set(pool, "count_include_pad", p.count_include_pad ? 1 : 0);
    }
    set(pool, "ceil_mode", p.ceil_mode ? 1 : 0);
  }
  void operator()(const graph::GlobalAveragePool&) const { plain("GlobalAveragePool"); }
  void operator()(const graph::Flatten& f) const { set(plain("Flatten"), "axis", f.axis); }
  void operator()(const graph::Reshape& r) const {
    onnx::NodeProto& reshape = plain("Reshape");
    if (!r.allow_zero) return;
    w.need_opset(14);
    set(reshape, "allowzero", 1);
  }
  void operator()(const graph::Pad& p) const {
    std::vector<std::int64_t> pads = p.begin;
    pads.insert(pads.end(), p.end.begin(), p.end.end());
    if (p.mode == PaddingMode::circular) w.need_opset(19);
    Names inputs{x(), w.constant(integers(pads), node.name + "_pads")};
    if (p.mode == PaddingMode::zeros)
      inputs.push_back(w.constant(Tensor::scalar(p.constant), node.name + "_value"));
    set(plain("Pad", inputs), "mode", pad_mode(p.mode));
  }
  void operator()(const graph::Concat& c) const { set(plain("Concat"), "axis", c.axis); }
  void operator()(const graph::Transpose& t) const {
    onnx::NodeProto& transpose = plain("Transpose");
    if (!t.permutation.empty()) set(transpose, "perm", t.permutation);
  }
  void operator()(const graph::Resize& r) const {
    Names inputs{x(), "", ""};
    if (!r.scales.empty()) {
      inputs[2] = w.constant(Tensor::from_data(r.scales, {static_cast<std::int64_t>(r.scales.size())}),
                             node.name + "_scales");
    } else {
      inputs.push_back(w.stored(node.inputs[1]));
    }
    onnx::NodeProto& resize = plain("Resize", inputs);
    set(resize, "mode", to_string(r.mode));
    set(resize, "coordinate_transformation_mode", to_string(r.coordinates));
    if (r.mode == ResizeMode::nearest) set(resize, "nearest_mode", to_string(r.nearest_mode));
    if (r.mode == ResizeMode::cubic) set(resize, "cubic_coeff_a", static_cast<float>(r.cubic_coeff_a));
  }
  void operator()(const graph::Softmax& s) const { set(plain("Softmax"), "axis", s.axis); }
  void operator()(const graph::Quantize&) const {
    quantize(x());
    w.proto_->mutable_node(w.proto_->node_size() - 1)->set_name(node.name);
  }
  void operator()(const graph::Dequantize&) const { w.dequantize(node.inputs[0], node.name, last()); }
  void operator()(const graph::ShapeOf& s) const {
    onnx::NodeProto& shape = plain("Shape");
    if (s.start == 0 && s.end == std::numeric_limits<int>::max()) return;
    w.need_opset(15);
    set(shape, "start", s.start);
    if (s.end != std::numeric_limits<int>::max()) set(shape, "end", s.end);
  }
  void operator()(const graph::Gather& g) const { set(plain("Gather"), "axis", g.axis); }
  void operator()(const graph::Unsqueeze& u) const {
    plain("Unsqueeze", {x(), w.constant(integers(u.axes), node.name + "_axes")});
  }
  void operator()(const graph::Squeeze& s) const {
    Names inputs{x()};
    if (!s.axes.empty()) inputs.push_back(w.constant(integers(s.axes), node.name + "_axes"));
    plain("Squeeze", inputs);
  }
  void operator()(const graph::Cast& c) const {
    set(plain("Cast"), "to", c.to == DType::float32 ? 1 : c.to == DType::int64 ? 7 : 6);
  }
  void operator()(const graph::Slice&) const { plain("Slice"); }
  void operator()(const graph::ConstantOfShape& c) const {
    onnx::AttributeProto* value = attribute(plain("ConstantOfShape"), "value", onnx::AttributeProto::TENSOR);
    *value->mutable_t() = tensor_to_onnx(c.value.reshape({1}), "value");
  }
};

void OnnxWriter::write_node(const Node& node) { std::visit(WriteOp{*this, node}, node.op); }

std::string write_onnx(const graph::Graph& graph) {
  const onnx::ModelProto model = OnnxWriter(graph).write();
  std::string bytes;
  check<FileError>(model.ByteSizeLong() < (std::size_t{1} << 31) && model.SerializeToString(&bytes),
                   "the network '{}' is larger than the 2 GiB that an ONNX file may have", graph.name);
  return bytes;
}

}  // namespace qconv::io
