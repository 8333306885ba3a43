// Builders of convolutions, pooling and what surrounds them.
#include <algorithm>
#include <cmath>

#include "graph/windows.hpp"
#include "io/onnx_reader.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::AutoPad;
using graph::kNoValue;
using graph::ValueId;

namespace {

// Values of a list attribute for `ndim` dimensions; `fallback` where it is absent.
Spatial spatial_attribute(const OnnxNode& node, std::string_view attribute, int ndim, std::int64_t fallback,
                          std::int64_t neutral) {
  Spatial values{neutral, neutral, neutral};
  const std::vector<std::int64_t> given = node.integers(attribute);
  check(given.empty() || given.size() == static_cast<std::size_t>(ndim), "{} has {} values, expected {}",
        attribute, given.size(), ndim);
  for (int d = 0; d < ndim; ++d) {
    values[static_cast<std::size_t>(3 - ndim + d)] =
        given.empty() ? fallback : given[static_cast<std::size_t>(d)];
  }
  return values;
}

// Strides, dilations and padding; the kernel is set.
void read_window(const OnnxNode& node, ConvGeometry& g, AutoPad& auto_pad) {
  g.stride = spatial_attribute(node, "strides", g.ndim, 1, 1);
  g.dilation = spatial_attribute(node, "dilations", g.ndim, 1, 1);
  const std::string mode = node.text("auto_pad", "NOTSET");
  auto_pad = mode == "SAME_UPPER"   ? AutoPad::same_upper
             : mode == "SAME_LOWER" ? AutoPad::same_lower
                                    : AutoPad::given;
  check(auto_pad != AutoPad::given || mode == "NOTSET" || mode == "VALID", "auto_pad '{}' is not known",
        mode);
  const std::vector<std::int64_t> pads =
      mode == "NOTSET" ? node.integers("pads") : std::vector<std::int64_t>();
  const auto ndim = static_cast<std::size_t>(g.ndim);
  check(pads.empty() || pads.size() == 2 * ndim, "pads has {} values, expected {}", pads.size(), 2 * ndim);
  for (std::size_t d = 0; d < ndim && !pads.empty(); ++d) {
    g.padding_begin[3 - ndim + d] = pads[d];
    g.padding_end[3 - ndim + d] = pads[ndim + d];
  }
}

// Fixes the padding where the input's sizes allow it already.
void settle_padding(ConvGeometry& g, AutoPad& auto_pad, std::vector<std::int64_t>& output_shape,
                    const std::optional<Shape>& input) {
  Spatial spatial{graph::kDynamic, graph::kDynamic, graph::kDynamic};
  if (input && input->rank() == g.ndim + 2) spatial = graph::spatial_of(*input, g.ndim, "padding");
  if (const auto resolved = graph::resolve_padding(g, auto_pad, output_shape, spatial)) {
    g = *resolved;
    auto_pad = AutoPad::given;
    output_shape.clear();
  }
}

std::optional<Shape> image_sizes(const OnnxNode& node, ValueId id) { return node.graph().value(id).sizes; }

void check_vector(const OnnxNode& node, int input, std::string_view what, std::int64_t expected) {
  const Tensor t = node.constant(input, what);
  check(t.dtype() == DType::float32 && t.numel() == expected && t.dim() == 1,
        "the {} must be {} float32 values, got {}", what, expected, t.to_string());
  for (const float v : t.to_vector<float>()) check(std::isfinite(v), "the {} holds {}", what, v);
}

void build_conv(const OnnxNode& node, bool transposed) {
  const graph::Value& weight = node.constant_value(1, "weight");
  check(weight.dtype == DType::float32, "the weight must be float32, got {}", weight.constant.to_string());
  const ValueId x = node.input(0);
  graph::Conv conv = read_conv(node, weight.constant.sizes(), transposed, image_sizes(node, x));
  if (node.has_input(2)) check_vector(node, 2, "bias", conv.geometry.out_channels);
  node.result(std::move(conv), {x, node.input(1), node.optional_input(2), kNoValue});
}

graph::Pool read_pool(const OnnxNode& node, graph::PoolKind kind) {
  graph::Pool pool;
  pool.kind = kind;
  const auto ndim = node.integers("kernel_shape").size();
  check(ndim >= 1 && ndim <= 3, "kernel_shape has {} values, expected 1, 2 or 3", ndim);
  ConvGeometry& g = pool.window;
  g.ndim = static_cast<int>(ndim);
  g.kernel = spatial_attribute(node, "kernel_shape", g.ndim, 1, 1);
  read_window(node, g, pool.auto_pad);
  pool.ceil_mode = node.flag("ceil_mode", false);
  pool.count_include_pad = node.flag("count_include_pad", false);
  check(node.integer("storage_order", 0) == 0, "storage_order 1 is not supported");
  g.validate("window");
  std::vector<std::int64_t> none;
  settle_padding(g, pool.auto_pad, none, image_sizes(node, node.input(0)));
  return pool;
}

}  // namespace

graph::Conv read_conv(const OnnxNode& node, const Shape& weight_sizes, bool transposed,
                      const std::optional<Shape>& input) {
  check(weight_sizes.rank() >= 3 && weight_sizes.rank() <= 5 && weight_sizes.numel() > 0,
        "the weight has sizes {}; supported are 1, 2 and 3 spatial dimensions", weight_sizes.to_string());
  graph::Conv conv;
  ConvGeometry& g = conv.geometry;
  g.ndim = weight_sizes.rank() - 2;
  g.transposed = transposed;
  g.groups = node.integer("group", 1);
  check(g.groups >= 1, "group must be at least 1, got {}", g.groups);
  std::int64_t whole = 0;
  check(!__builtin_mul_overflow(weight_sizes[1], g.groups, &whole), "{} groups are too many", g.groups);
  g.in_channels = transposed ? weight_sizes[0] : whole;
  g.out_channels = transposed ? whole : weight_sizes[0];
  for (int d = 0; d < g.ndim; ++d) g.kernel[static_cast<std::size_t>(3 - g.ndim + d)] = weight_sizes[2 + d];
  if (node.has("kernel_shape")) {
    check(spatial_attribute(node, "kernel_shape", g.ndim, 1, 1) == g.kernel,
          "kernel_shape and the weight's sizes {} differ", weight_sizes.to_string());
  }
  read_window(node, g, conv.auto_pad);
  if (transposed) {
    g.output_padding = spatial_attribute(node, "output_padding", g.ndim, 0, 0);
    conv.output_shape = node.integers("output_shape");
    const auto ndim = static_cast<std::size_t>(g.ndim);
    if (conv.output_shape.size() == ndim + 2)
      conv.output_shape.erase(conv.output_shape.begin(), conv.output_shape.begin() + 2);
    check(conv.output_shape.empty() || conv.output_shape.size() == ndim,
          "output_shape has {} values, expected {}", conv.output_shape.size(), ndim);
  }
  g.validate(g.name());
  settle_padding(g, conv.auto_pad, conv.output_shape, input);
  return conv;
}

namespace build {

void conv(const OnnxNode& node) { build_conv(node, false); }
void conv_transpose(const OnnxNode& node) { build_conv(node, true); }

void gemm(const OnnxNode& node) {
  const float alpha = node.real("alpha", 1);
  const float beta = node.real("beta", 1);
  check(std::isfinite(alpha) && std::isfinite(beta), "alpha {} and beta {} must be finite", alpha, beta);
  ValueId x = node.input(0);
  if (node.flag("transA", false)) x = node.step(graph::Transpose{{1, 0}}, {x}, "transposed");
  const graph::Value& matrix = node.constant_value(1, "second matrix");
  check(matrix.constant.dim() == 2 && matrix.dtype == DType::float32,
        "the second matrix must be 2-D float32, got {}", matrix.constant.to_string());
  ValueId weight = node.input(1);
  if (!node.flag("transB", false) || alpha != 1) {
    const bool turn = !node.flag("transB", false);
    const auto oriented = [&](const Tensor& t) { return turn ? t.transpose(0, 1).clone() : t.clone(); };
    if (alpha == 1 && matrix.is_stored_as_int8()) {
      weight = node.graph().add_dequantized_constant(matrix.name, oriented(matrix.constant));
    } else {
      Tensor turned = oriented(matrix.elements());
      for (std::int64_t i = 0; i < turned.numel(); ++i) turned.mutable_data<float>()[i] *= alpha;
      weight = node.graph().add_constant(matrix.name, turned);
    }
  }
  const std::int64_t outputs = node.graph().value(weight).constant.size(0);
  ValueId bias = node.optional_input(2);
  if (bias != kNoValue) {
    const Tensor c = node.constant(2, "bias");
    const bool vector = c.numel() == outputs && (c.dim() <= 1 || c.size(-1) == outputs);
    check(c.dtype() == DType::float32 && (vector || c.numel() == 1),
          "the bias must be {} float32 values, got {}", outputs, c.to_string());
    if (beta != 1 || c.dim() != 1 || c.numel() != outputs) {
      const std::vector<float> values = c.to_vector<float>();
      std::vector<float> scaled(static_cast<std::size_t>(outputs));
      for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] = beta * values[values.size() == 1 ? 0 : i];
      bias = node.graph().add_constant(node.name() + "/bias", Tensor::from_data(scaled, {outputs}));
    }
  }
  node.result(graph::Linear{}, {x, weight, bias});
}

void matmul(const OnnxNode& node) {
  gemm(node);  // no attributes: x W
}

void batch_normalization(const OnnxNode& node) {
  check(!node.flag("training_mode", false),
        "training_mode 1 is not supported; export the model in evaluation mode");
  const std::int64_t channels = node.constant(1, "scale").numel();
  for (int i = 1; i < 5; ++i)
    check_vector(node, i, i == 1 ? "scale" : i == 2 ? "bias" : i == 3 ? "mean" : "variance", channels);
  const float epsilon = node.real("epsilon", 1e-5F);
  check(epsilon >= 0 && std::isfinite(epsilon), "epsilon must be a positive number, got {}", epsilon);
  for (const float v : node.constant(4, "variance").to_vector<float>()) {
    check(v + epsilon > 0, "a variance of {} is not possible", v);
  }
  node.result(graph::BatchNorm{epsilon, {}}, node.all_inputs());
}

void max_pool(const OnnxNode& node) { node.result(read_pool(node, graph::PoolKind::max), {node.input(0)}); }
void average_pool(const OnnxNode& node) {
  node.result(read_pool(node, graph::PoolKind::average), {node.input(0)});
}
void global_average_pool(const OnnxNode& node) { node.result(graph::GlobalAveragePool{}, {node.input(0)}); }

void reduce_mean(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const std::optional<Shape> sizes = image_sizes(node, x);
  check(sizes.has_value(), "the rank of the input is not known");
  std::vector<std::int64_t> axes =
      node.has_input(1) ? node.constant_integers(1, "axes") : node.integers("axes");
  for (std::int64_t& a : axes) {
    check(a >= -sizes->rank() && a < sizes->rank(), "axis {} is out of range for sizes {}", a,
          sizes->to_string());
    a += a < 0 ? sizes->rank() : 0;
  }
  std::sort(axes.begin(), axes.end());
  bool spatial = sizes->rank() >= 3 && axes.size() == static_cast<std::size_t>(sizes->rank() - 2);
  for (std::size_t i = 0; i < axes.size(); ++i)
    spatial = spatial && axes[i] == static_cast<std::int64_t>(i) + 2;
  if (!spatial) {
    check(!axes.empty() || !node.flag("noop_with_empty_axes", false),
          "a mean over no dimensions is not supported");
    node.result(graph::Mean{axes, node.flag("keepdims", true)}, {x});
    return;
  }
  if (node.flag("keepdims", true)) {
    node.result(graph::GlobalAveragePool{}, {x});
  } else {
    node.result(graph::Flatten{1}, {node.step(graph::GlobalAveragePool{}, {x}, "mean")});
  }
}

}  // namespace build
}  // namespace qconv::io
