// Builders of functions of one or two numbers, and of normalizations.
#include <cmath>
#include <map>

#include "io/onnx_reader.hpp"
#include "support/check.hpp"

namespace qconv::io {

using graph::kNoValue;
using graph::ValueId;

namespace {

// The function and the defaults of the attributes alpha and beta.
const std::map<std::string, Unary, std::less<>>& functions() {
  static const std::map<std::string, Unary, std::less<>> table{
      {"Abs", {UnaryKind::abs}},
      {"Ceil", {UnaryKind::ceil}},
      {"Elu", {UnaryKind::elu, 1}},
      {"Erf", {UnaryKind::erf}},
      {"Exp", {UnaryKind::exp}},
      {"Floor", {UnaryKind::floor}},
      {"Gelu", {UnaryKind::gelu}},
      {"HardSigmoid", {UnaryKind::hardsigmoid, 0.2F, 0.5F}},
      {"HardSwish", {UnaryKind::hardswish}},
      {"LeakyRelu", {UnaryKind::leaky_relu, 0.01F}},
      {"Log", {UnaryKind::log}},
      {"Mish", {UnaryKind::mish}},
      {"Neg", {UnaryKind::neg}},
      {"Reciprocal", {UnaryKind::reciprocal}},
      {"Sigmoid", {UnaryKind::sigmoid}},
      {"Softplus", {UnaryKind::softplus}},
      {"Sqrt", {UnaryKind::sqrt}},
      {"Tanh", {UnaryKind::tanh}},
  };
  return table;
}

const std::map<std::string, graph::BinaryKind, std::less<>>& binaries() {
  using graph::BinaryKind;
  static const std::map<std::string, BinaryKind, std::less<>> table{
      {"Div", BinaryKind::div}, {"Max", BinaryKind::max}, {"Min", BinaryKind::min},
      {"Mul", BinaryKind::mul}, {"Pow", BinaryKind::pow}, {"Sub", BinaryKind::sub},
  };
  return table;
}

// A constant vector of float32, finite.
std::int64_t finite_vector(const OnnxNode& node, int input, std::string_view what) {
  const Tensor t = node.constant(input, what);
  check(t.dtype() == DType::float32 && t.dim() == 1, "the {} must be a vector of float32, got {}", what,
        t.to_string());
  for (const float v : t.to_vector<float>()) check(std::isfinite(v), "the {} holds {}", what, v);
  return t.numel();
}

double epsilon_of(const OnnxNode& node) {
  const float epsilon = node.real("epsilon", 1e-5F);
  check(epsilon >= 0 && std::isfinite(epsilon), "epsilon must be a positive number, got {}", epsilon);
  return static_cast<double>(epsilon);
}

// Whether a constant of one element leaves `x` the dimensions it has.
bool keeps_rank(const OnnxNode& node, ValueId x, const Tensor& constant) {
  const std::optional<Shape>& sizes = node.graph().value(x).sizes;
  return constant.dim() <= (sizes ? sizes->rank() : 0);
}

const std::optional<Shape>& known_sizes(const OnnxNode& node, ValueId x) {
  return node.graph().value(x).sizes;
}

}  // namespace

namespace build {

void unary(const OnnxNode& node) {
  Unary function = functions().find(node.op())->second;
  function.alpha = node.real("alpha", function.alpha);
  function.beta = node.real("beta", function.beta);
  check(std::isfinite(function.alpha) && std::isfinite(function.beta), "alpha {} and beta {} must be finite",
        function.alpha, function.beta);
  if (node.op() == "Gelu") {
    const std::string form = node.text("approximate", "none");
    check(form == "none" || form == "tanh", "approximate '{}' is not known", form);
    if (form == "tanh") function.kind = UnaryKind::gelu_tanh;
  }
  node.result(graph::UnaryOp{function}, {node.input(0)});
}

void binary(const OnnxNode& node) {
  const graph::Binary op{binaries().find(node.op())->second};
  check(node.all_inputs().size() == 2, "expected two inputs, got {}", node.all_inputs().size());
  const ValueId a = node.input(0);
  const ValueId b = node.input(1);
  const graph::Value& exponent = node.graph().value(b);
  if (op.kind == graph::BinaryKind::pow && !node.graph().value(a).early && exponent.is_constant() &&
      exponent.constant.numel() == 1 && keeps_rank(node, a, exponent.constant)) {
    const auto power = static_cast<float>(exponent.elements().reshape({}).item());
    check(std::isfinite(power), "an exponent of {} is not possible", power);
    node.result(graph::UnaryOp{{UnaryKind::pow, power}}, {a});
    return;
  }
  node.result(op, {a, b});
}

// max(x, 0) + slope * min(x, 0), or LeakyRelu where there is one slope for all.
void prelu(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const Tensor slope = node.constant(1, "slope");
  check(slope.dtype() == DType::float32, "the slope must be float32, got {}", slope.to_string());
  const std::vector<float> values = slope.to_vector<float>();
  for (const float v : values) check(std::isfinite(v), "the slope holds {}", v);
  // It is repeated to the sizes of x, never the other way round.
  const auto& sizes = known_sizes(node, x);
  for (int d = 1; d <= slope.dim(); ++d) {
    const bool there = !sizes || d <= sizes->rank();
    const std::int64_t size = there && sizes ? (*sizes)[sizes->rank() - d] : graph::kDynamic;
    check(there && (slope.size(-d) == 1 || size < 0 || slope.size(-d) == size),
          "a slope of sizes {} cannot be repeated to {}", slope.sizes().to_string(),
          sizes ? sizes->to_string() : "");
  }
  if (values.size() == 1) {
    node.result(graph::UnaryOp{{UnaryKind::leaky_relu, values[0]}}, {x});
    return;
  }
  const ValueId positive = node.step(graph::Clip{{.lo = 0}}, {x}, "positive");
  const ValueId negative = node.step(graph::Clip{{.hi = 0}}, {x}, "negative");
  const ValueId scaled =
      node.step(graph::Binary{graph::BinaryKind::mul}, {negative, node.input(1)}, "scaled");
  node.result(graph::Add{}, {positive, scaled});
}

void layer_normalization(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const std::int64_t axis = node.integer("axis", -1);
  const auto& sizes = known_sizes(node, x);
  check(axis == -1 || (sizes && axis == sizes->rank() - 1),
        "normalization over the last dimension is supported, got axis {}", axis);
  check(node.output_count() == 1, "its mean and deviation as results are not supported");
  const std::int64_t count = finite_vector(node, 1, "scale");
  if (node.has_input(2)) {
    check(finite_vector(node, 2, "bias") == count, "scale and bias have different sizes");
  }
  node.result(graph::LayerNorm{-1, epsilon_of(node)}, {x, node.input(1), node.optional_input(2)});
}

void instance_normalization(const OnnxNode& node) {
  check(finite_vector(node, 1, "scale") == finite_vector(node, 2, "bias"),
        "scale and bias have different sizes");
  node.result(graph::InstanceNorm{epsilon_of(node)}, {node.input(0), node.input(1), node.input(2)});
}

// (N, G, rest), normalized there, and scaled per channel: as exporters of older opsets write it.
void group_normalization(const OnnxNode& node) {
  const ValueId x = node.input(0);
  const auto sizes = known_sizes(node, x);
  const std::int64_t groups = node.integer("num_groups", 0);
  check(sizes && sizes->rank() >= 3, "expected an input (N, C, spatial...)");
  const std::int64_t channels = finite_vector(node, 1, "scale");
  check(channels == finite_vector(node, 2, "bias"), "scale and bias have different sizes");
  check(groups >= 1 && channels % groups == 0 && (node.opset() >= 21 || channels == groups),
        "{} groups and {} scales do not fit together", groups, channels);
  const std::int64_t given = (*sizes)[1];
  check(given < 0 || (given % groups == 0 && (node.opset() < 21 || given == channels)),
        "{} groups and {} scales do not fit an input of {} channels", groups, channels, given);
  const auto vector = [&](const std::vector<std::int64_t>& v, std::string_view what) {
    return node.graph().add_constant(fmt::format("{}/{}", node.name(), what),
                                     Tensor::from_data(v, {static_cast<std::int64_t>(v.size())}));
  };
  const auto filled = [&](float v, std::string_view what) {
    return node.graph().add_constant(
        fmt::format("{}/{}", node.name(), what),
        Tensor::from_data(std::vector<float>(static_cast<std::size_t>(groups), v), {groups}));
  };
  const ValueId grouped = node.step(graph::Reshape{}, {x, vector({0, groups, -1}, "groups")}, "grouped");
  const ValueId normal = node.step(graph::InstanceNorm{epsilon_of(node)},
                                   {grouped, filled(1, "ones"), filled(0, "zeros")}, "normal");
  if (channels == groups && node.opset() < 21) {
    // Scales of groups: on the grouped values.
    const auto column = [&](int input, std::string_view what) {
      return node.graph().add_constant(fmt::format("{}/{}", node.name(), what),
                                       node.constant(input, what).reshape({groups, 1}));
    };
    const ValueId scaled =
        node.step(graph::Binary{graph::BinaryKind::mul}, {normal, column(1, "scale")}, "scaled");
    const ValueId shifted = node.step(graph::Add{}, {scaled, column(2, "bias")}, "shifted");
    node.result(graph::Reshape{}, {shifted, node.step(graph::ShapeOf{}, {x}, "shape", DType::int64)});
    return;
  }
  Shape column_sizes{channels};
  for (int d = 2; d < sizes->rank(); ++d) column_sizes.push_back(1);
  const auto column = [&](int input, std::string_view what) {
    return node.graph().add_constant(fmt::format("{}/{}", node.name(), what),
                                     node.constant(input, what).reshape(column_sizes));
  };
  const ValueId whole =
      node.step(graph::Reshape{}, {normal, node.step(graph::ShapeOf{}, {x}, "shape", DType::int64)}, "whole");
  const ValueId scaled =
      node.step(graph::Binary{graph::BinaryKind::mul}, {whole, column(1, "scale")}, "scaled");
  node.result(graph::Add{}, {scaled, column(2, "bias")});
}

}  // namespace build
}  // namespace qconv::io
