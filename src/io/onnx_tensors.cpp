// Builders of element-wise operators and of those that move elements about.
#include <cmath>

#include "io/onnx_reader.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::kNoValue;
using graph::ValueId;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The only element of a constant input, or `fallback` when the input is absent.
float scalar_input(const OnnxNode& node, int i, std::string_view what, float fallback) {
  if (!node.has_input(i)) return fallback;
  const std::vector<float> values = node.constant_reals(i, what);
  check(values.size() == 1, "the {} must be one number, got {}", what, values.size());
  return values[0];
}

int rank_of(const OnnxNode& node, ValueId x) {
  const auto& sizes = node.graph().value(x).sizes;
  check(sizes.has_value(), "the rank of the input is not known");
  return sizes->rank();
}

// Per-axis values of a node that may list the axes they are for.
template <class T>
std::vector<T> spread(const OnnxNode& node, const std::vector<T>& values,
                      const std::vector<std::int64_t>& axes, int rank, T neutral) {
  if (axes.empty()) return values;
  check(values.size() == axes.size(), "{} values for {} axes", values.size(), axes.size());
  std::vector<T> all(static_cast<std::size_t>(rank), neutral);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    check(axis >= 0 && axis < rank, "{}: axis {} is out of range for {} dimensions", node.op(), axes[i],
          rank);
    all[static_cast<std::size_t>(axis)] = values[i];
  }
  return all;
}

}  // namespace

namespace build {

void relu(const OnnxNode& node) { node.result(graph::Clip{{.lo = 0}}, {node.input(0)}); }

void clip(const OnnxNode& node) {
  const graph::Range range{scalar_input(node, 1, "minimum", node.real("min", -kInfinity)),
                           scalar_input(node, 2, "maximum", node.real("max", kInfinity))};
  check(range.lo <= range.hi, "the minimum {} exceeds the maximum {}", range.lo, range.hi);
  node.result(graph::Clip{range}, {node.input(0)});
}

void add(const OnnxNode& node) { node.result(graph::Add{}, {node.input(0), node.input(1)}); }

void softmax(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const int rank = rank_of(node, x);
  const auto axis = static_cast<int>(node.integer("axis", node.opset() >= 13 ? -1 : 1));
  check(axis >= -rank && axis < rank, "axis {} is out of range for {} dimensions", axis, rank);
  // Up to opset 12 the dimensions from the axis on are one; that is the same for the last axis.
  check(node.opset() >= 13 || axis == -1 || axis == rank - 1,
        "Softmax of opset {} is supported over the last axis only, got axis {}", node.opset(), axis);
  node.result(graph::Softmax{axis}, {x});
}

void flatten(const OnnxNode& node) {
  node.result(graph::Flatten{static_cast<int>(node.integer("axis", 1))}, {node.input(0)});
}

void reshape(const OnnxNode& node) {
  node.result(graph::Reshape{node.flag("allowzero", false)}, {node.input(0), node.input(1)});
}

void pad(const OnnxNode& node) {
  graph::Pad pad;
  const std::string mode = node.text("mode", "constant");
  check(mode == "constant" || mode == "reflect" || mode == "edge" || mode == "wrap", "mode '{}' is not known",
        mode);
  pad.mode = mode == "reflect" ? PaddingMode::reflect
             : mode == "edge"  ? PaddingMode::replicate
             : mode == "wrap"  ? PaddingMode::circular
                               : PaddingMode::zeros;
  const std::vector<std::int64_t> pads =
      node.has_input(1) ? node.constant_integers(1, "pads") : node.integers("pads");
  check(pads.size() % 2 == 0, "pads has {} values, expected an even number", pads.size());
  const auto half = static_cast<std::ptrdiff_t>(pads.size() / 2);
  const std::vector<std::int64_t> axes =
      node.has_input(3) ? node.constant_integers(3, "axes") : std::vector<std::int64_t>();
  const int rank = axes.empty() ? static_cast<int>(half) : rank_of(node, node.input(0));
  pad.begin = spread(node, std::vector(pads.begin(), pads.begin() + half), axes, rank, std::int64_t{0});
  pad.end = spread(node, std::vector(pads.begin() + half, pads.end()), axes, rank, std::int64_t{0});
  pad.constant = scalar_input(node, 2, "constant value", node.real("value", 0));
  check(std::isfinite(pad.constant), "a constant value of {} is not supported", pad.constant);
  node.result(std::move(pad), {node.input(0)});
}

void concat(const OnnxNode& node) {
  check(node.has("axis"), "attribute 'axis' is missing");
  const std::vector<ValueId> inputs = node.all_inputs();
  check(!inputs.empty(), "there are no inputs");
  node.result(graph::Concat{static_cast<int>(node.integer("axis", 1))}, inputs);
}

void transpose(const OnnxNode& node) {
  std::vector<std::int64_t> permutation = node.integers("perm");
  std::vector<bool> seen(permutation.size());
  for (const std::int64_t axis : permutation) {
    const bool fresh =
        axis >= 0 && axis < static_cast<std::int64_t>(seen.size()) && !seen[static_cast<std::size_t>(axis)];
    check(fresh, "perm is not a permutation");
    seen[static_cast<std::size_t>(axis)] = true;
  }
  node.result(graph::Transpose{std::move(permutation)}, {node.input(0)});
}

void resize(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const int rank = rank_of(node, x);
  check(!node.flag("antialias", false), "antialias is not supported");
  check(!node.flag("exclude_outside", false), "exclude_outside is not supported");
  check(node.text("keep_aspect_ratio_policy", "stretch") == "stretch",
        "keep_aspect_ratio_policy '{}' is not supported", node.text("keep_aspect_ratio_policy", ""));
  graph::Resize resize;
  resize.mode = parse_resize_mode(node.text("mode", "nearest"));
  resize.coordinates = parse_coordinate_mode(node.text("coordinate_transformation_mode", "half_pixel"));
  resize.nearest_mode = parse_nearest_mode(node.text("nearest_mode", "round_prefer_floor"));
  resize.cubic_coeff_a = static_cast<double>(node.real("cubic_coeff_a", -0.75F));
  const std::vector<std::int64_t> axes = node.integers("axes");
  if (node.has_input(2)) {
    const std::vector<float> scales = node.constant_reals(2, "scales");
    if (!scales.empty()) resize.scales = spread(node, scales, axes, rank, 1.0F);
  }
  for (std::size_t d = 0; d < resize.scales.size(); ++d) {
    const float s = resize.scales[d];
    check(s > 0 && std::isfinite(s), "a scale of {} is not possible", s);
    check(d >= 2 || s == 1, "batch and channels cannot be resized, got a scale of {}", s);
  }
  ValueId sizes = kNoValue;
  if (resize.scales.empty()) {
    check(node.has_input(3), "there are neither scales nor sizes");
    sizes = node.input(3);
    if (!axes.empty()) {
      const auto& known = node.graph().value(x).sizes;
      const std::vector<std::int64_t> all =
          spread(node, node.constant_integers(3, "sizes"), axes, rank, graph::kDynamic);
      Shape whole(all);
      for (int d = 0; d < rank; ++d) {
        if (whole[d] < 0) whole[d] = (*known)[d];
        check(whole[d] >= 0, "sizes for some axes need the other sizes to be known");
      }
      sizes = node.graph().add_constant(node.name() + "/sizes", Tensor::from_data(whole.vec(), {rank}));
    }
  }
  node.result(std::move(resize), {x, sizes});
}

void identity(const OnnxNode& node) {
  check(node.op() != "Dropout" || !node.has_input(2) || node.constant(2, "training_mode").item() == 0,
        "training_mode is not supported; export the model in evaluation mode");
  node.result_is(node.input(0));
}

}  // namespace build
}  // namespace qconv::io
