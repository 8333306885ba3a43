// From nodes to the operators that compute them.
#include "graph/layer.hpp"

#include <cmath>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/quantize.hpp>

#include "graph/slicing.hpp"
#include "ops/prepack.hpp"
#include "ops/quantize_input.hpp"
#include "ops/run.hpp"
#include "support/check.hpp"

namespace qconv::graph {

namespace {

std::optional<float> limit(float v) { return std::isinf(v) ? std::nullopt : std::optional(v); }
std::optional<double> wide_limit(float v) {
  return std::isinf(v) ? std::nullopt : std::optional(static_cast<double>(v));
}

FloatPostOp post_op(const Range& range, bool add) {
  return {.add = add, .min = limit(range.lo), .max = limit(range.hi)};
}

std::vector<std::int64_t> used(const ConvGeometry& g, const Spatial& s) {
  const auto values = g.used(s);
  return {values.begin(), values.end()};
}

std::vector<std::int64_t> padding_of(const ConvGeometry& g) {
  std::vector<std::int64_t> padding = used(g, g.padding_begin);
  const std::vector<std::int64_t> end = used(g, g.padding_end);
  padding.insert(padding.end(), end.begin(), end.end());
  return padding;
}

Pooling pooling_of(const Pool& pool) {
  const ConvGeometry& g = pool.window;
  return {.kernel_size = used(g, g.kernel),
          .stride = used(g, g.stride),
          .padding = padding_of(g),
          .dilation = used(g, g.dilation),
          .ceil_mode = pool.ceil_mode,
          .count_include_pad = pool.count_include_pad};
}

qconv::Resize resize_of(const Resize& r, const Shape& sizes) {
  qconv::Resize resize;
  resize.size = std::vector<std::int64_t>(sizes.begin() + 2, sizes.end());
  for (std::size_t d = 2; d < r.scales.size(); ++d)
    resize.scale_factor.push_back(static_cast<double>(r.scales[d]));
  resize.mode = r.mode;
  resize.coordinates = r.coordinates;
  resize.nearest_mode = r.nearest_mode;
  resize.cubic_coeff_a = r.cubic_coeff_a;
  return resize;
}

struct Run {
  const Node& node;
  const Layer& layer;
  std::span<const Tensor* const> in;
  const Tensor& result;

  const Tensor& x() const { return *in[0]; }
  bool integers() const { return x().is_quantized(); }
  double scale() const { return result.q_scale(); }
  std::int64_t zero_point() const { return result.q_zero_point(); }

  std::optional<Tensor> optional_input(std::size_t i) const {
    return i < in.size() && in[i] != nullptr ? std::optional(*in[i]) : std::nullopt;
  }
  static Tensor limited(const Tensor& y, const Range& range) {
    return range.unlimited() ? y : functional::clamp(y, wide_limit(range.lo), wide_limit(range.hi));
  }

  Tensor operator()(const Conv& c) const {
    const Tensor* addend = in.size() > 3 ? in[3] : nullptr;
    if (!integers()) return layer.convolution->run(x(), addend ? *addend : Tensor());
    return ops::run(*layer.packed,
                    {node.name, x(), addend, scale(), zero_point(), result.dtype(), !c.range.unlimited()});
  }
  Tensor operator()(const Linear& l) const {
    if (!integers()) return layer.linear->run(x());
    return l.range.unlimited() ? ops::linear(x(), layer.packed, scale(), zero_point(), result.dtype())
                               : ops::linear_relu(x(), layer.packed, scale(), zero_point(), result.dtype());
  }
  Tensor operator()(const BatchNorm& b) const {
    if (integers()) {
      const auto norm = b.range.unlimited() ? ops::batch_norm : ops::batch_norm_relu;
      return norm(x(), *in[3], *in[4], *in[1], *in[2], b.epsilon, scale(), zero_point());
    }
    return limited(functional::batch_norm(x(), *in[3], *in[4], *in[1], *in[2], b.epsilon), b.range);
  }
  Tensor operator()(const UnaryOp& u) const {
    return integers() ? ops::mapped(x(), *layer.table, result.dtype(), result.qparams())
                      : functional::unary(x(), u.function);
  }
  Tensor operator()(const Binary& b) const {
    switch (b.kind) {
      case BinaryKind::sub:
        return integers() ? ops::sub(x(), *in[1], scale(), zero_point()) : functional::sub(x(), *in[1]);
      case BinaryKind::mul:
        return integers() ? ops::mul(x(), *in[1], scale(), zero_point()) : functional::mul(x(), *in[1]);
      case BinaryKind::div:
        return functional::div(x(), *in[1]);
      case BinaryKind::pow:
        return functional::pow(x(), *in[1]);
      case BinaryKind::min:
        return functional::minimum(x(), *in[1]);
      case BinaryKind::max:
        return functional::maximum(x(), *in[1]);
    }
    return {};
  }
  Tensor operator()(const LayerNorm& l) const {
    return functional::layer_norm(x(), l.axis, optional_input(1), optional_input(2), l.epsilon);
  }
  Tensor operator()(const InstanceNorm& n) const {
    return functional::instance_norm(x(), optional_input(1), optional_input(2), n.epsilon);
  }
  Tensor operator()(const Mean& m) const { return functional::mean(x(), m.axes, m.keep_dims); }
  Tensor operator()(const Clip& c) const {
    const auto lo = wide_limit(c.range.lo);
    const auto hi = wide_limit(c.range.hi);
    if (!integers()) return functional::clamp(x(), lo, hi);
    const bool same = x().dtype() == result.dtype() && x().qparams() == result.qparams();
    if (same) return ops::clamp(x(), lo, hi);
    const Tensor y = ops::requantize(x(), scale(), zero_point(), result.dtype());
    return lo || hi ? ops::clamp(y, lo, hi) : y;
  }
  Tensor operator()(const Add& a) const {
    if (integers()) {
      return a.range.unlimited() ? ops::add(x(), *in[1], scale(), zero_point())
                                 : ops::add_relu(x(), *in[1], scale(), zero_point());
    }
    return limited(functional::add(x(), *in[1]), a.range);
  }
  Tensor operator()(const Pool& p) const {
    if (p.kind == PoolKind::max) return functional::max_pool(x(), pooling_of(p));
    return integers() ? ops::avg_pool(x(), pooling_of(p), scale(), zero_point())
                      : functional::avg_pool(x(), pooling_of(p));
  }
  Tensor operator()(const GlobalAveragePool&) const {
    return integers() ? ops::global_avg_pool(x(), scale(), zero_point()) : functional::global_avg_pool(x());
  }
  Tensor operator()(const Flatten&) const { return x().reshape(result.sizes()); }
  Tensor operator()(const Reshape&) const { return x().reshape(result.sizes()); }
  Tensor operator()(const Squeeze&) const { return x().reshape(result.sizes()); }
  Tensor operator()(const Unsqueeze&) const { return x().reshape(result.sizes()); }
  Tensor operator()(const Pad& p) const {
    // PyTorch's order: begin and end of the last dimension first.
    std::vector<std::int64_t> pads;
    for (std::size_t d = p.begin.size(); d-- > 0;) {
      pads.push_back(p.begin[d]);
      pads.push_back(p.end[d]);
    }
    return functional::pad(x(), pads, p.mode, static_cast<double>(p.constant));
  }
  Tensor operator()(const Concat& c) const {
    std::vector<Tensor> parts;
    for (const Tensor* t : in) parts.push_back(*t);
    return integers() ? ops::cat(parts, c.axis, scale(), zero_point()) : functional::cat(parts, c.axis);
  }
  Tensor operator()(const Transpose& t) const {
    Shape dims;
    for (int d = 0; d < x().dim(); ++d) {
      dims.push_back(t.permutation.empty() ? x().dim() - 1 - d : t.permutation[static_cast<std::size_t>(d)]);
    }
    return x().permute(dims);
  }
  Tensor operator()(const Resize& r) const {
    const qconv::Resize resize = resize_of(r, result.sizes());
    return integers() ? ops::interpolate(x(), resize, scale(), zero_point())
                      : functional::interpolate(x(), resize);
  }
  Tensor operator()(const Slice&) const {
    std::vector<Fact> facts;
    for (const Tensor* t : in) facts.push_back(t == nullptr ? Fact{} : Fact{t->dtype(), t->sizes(), *t});
    const Slicing s = *slicing_of(facts);
    return functional::slice(x(), s.first, s.step, s.sizes);
  }
  Tensor operator()(const Gather& g) const {
    const int axis = g.axis < 0 ? g.axis + x().dim() : g.axis;
    return functional::index_select(x(), axis, graph::integers(*in[1], "Gather")).reshape(result.sizes());
  }
  Tensor operator()(const Expand&) const { return functional::expand(x(), result.sizes()); }
  Tensor operator()(const Softmax& s) const { return functional::softmax(x(), s.axis); }
  Tensor operator()(const Quantize&) const { return ops::quantize_input(x(), result); }
  Tensor operator()(const Dequantize&) const { return ops::dequantize_output(x()); }
  template <class Other>
  Tensor operator()(const Other&) const {
    throw ValueError(fmt::format("{} cannot be computed on what the network computes", op_name(node.op)));
  }
};

}  // namespace

Layer prepare_table(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  const Value& y = graph.value(node.output);
  Layer layer;
  layer.table = std::make_shared<const ops::ByteMap>(
      ops::unary_map(std::get<UnaryOp>(node.op).function, x.dtype, *x.qparams, y.dtype, *y.qparams));
  return layer;
}

Layer prepare_layer(const Graph& graph, const Node& node, const std::string& engine,
                    const ops::PackUse& use) {
  const Value& weight = graph.value(node.inputs[1]);
  const std::optional<Tensor> bias =
      node.input(2) == kNoValue ? std::nullopt : std::optional(graph.value(node.inputs[2]).elements());
  const bool integers = is_quantized(graph.value(node.inputs[0]).dtype);
  Layer layer;
  if (const auto* conv = std::get_if<Conv>(&node.op)) {
    const ConvGeometry& g = conv->geometry;
    if (integers) {
      layer.packed = ops::prepack(node.name, weight.constant, bias, g, Padding(padding_of(g)),
                                  {.padding_mode = g.padding_mode, .engine = engine}, use);
    } else {
      layer.convolution = std::make_shared<const FloatConvolution>(
          g, weight.elements(), bias, post_op(conv->range, node.input(3) != kNoValue), node.name);
    }
  } else {
    const auto& linear = std::get<Linear>(node.op);
    if (integers) {
      layer.packed = ops::prepack_linear(weight.constant, bias, {.engine = engine}, use);
    } else {
      layer.linear = std::make_shared<const FloatLinear>(weight.elements(), bias,
                                                         post_op(linear.range, false), node.name);
    }
  }
  return layer;
}

Tensor run_layer(const Node& node, const Layer& layer, std::span<const Tensor* const> inputs,
                 const Tensor& result) {
  return std::visit(Run{node, layer, inputs, result}, node.op);
}

}  // namespace qconv::graph
