// FloatConvolution and FloatLinear: checks, padding that is not zeros, and a few plans kept.
#include <algorithm>
#include <mutex>
#include <vector>

#include <qconv/float_convolution.hpp>
#include <qconv/functional.hpp>

#include "engines/floating/float_plan.hpp"
#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

using engines::FloatPlan;
using engines::FloatProblem;

// What decides a plan besides weights and post op.
struct FloatPlanKey {
  std::int64_t batch;
  Spatial input;
  int threads;  // oneDNN decides on these when it prepares
  friend bool operator==(const FloatPlanKey&, const FloatPlanKey&) = default;
};

void check_bias(std::string_view who, const std::optional<Tensor>& bias, std::int64_t out_channels) {
  if (!bias) return;
  ops::check_float(who, *bias, "bias");
  check(bias->dim() == 1 && bias->numel() == out_channels,
        "{}: bias should have {} elements, one per output channel, got sizes {}", who, out_channels,
        bias->sizes());
}

void check_post_op(std::string_view who, const FloatPostOp& post_op) {
  check(!post_op.min || !post_op.max || *post_op.min <= *post_op.max, "{}: the limits [{}, {}] are empty",
        who, post_op.min.value_or(0), post_op.max.value_or(0));
}

// The geometry of what is left to do after padding of another mode has been done.
ConvGeometry without_padding_mode(ConvGeometry g) {
  if (g.padding_mode == PaddingMode::zeros) return g;
  g.padding_mode = PaddingMode::zeros;
  g.padding_begin = g.padding_end = {0, 0, 0};
  return g;
}

std::vector<std::int64_t> border_of(const ConvGeometry& g) {
  std::vector<std::int64_t> pad;
  for (int d = 2; d >= 3 - g.ndim; --d) {
    pad.push_back(g.padding_begin[static_cast<std::size_t>(d)]);
    pad.push_back(g.padding_end[static_cast<std::size_t>(d)]);
  }
  return pad;
}

}  // namespace

struct FloatConvolution::Impl {
  ConvGeometry geometry;
  ConvGeometry planned;  // without the padding that is done beforehand
  Tensor weight;
  std::optional<Tensor> bias;
  FloatPostOp post_op;
  std::string who;
  mutable std::mutex mutex;
  mutable std::vector<std::pair<FloatPlanKey, std::shared_ptr<const FloatPlan>>> plans;  // oldest first

  std::shared_ptr<const FloatPlan> plan(std::int64_t batch, const Spatial& input) const {
    const FloatPlanKey key{batch, input, get_num_threads()};
    {
      const std::scoped_lock lock(mutex);
      for (const auto& [known, plan] : plans)
        if (known == key) return plan;
    }
    const FloatProblem problem{planned, batch, input, post_op};
    const float* w = weight.data<float>();
    const float* b = bias ? bias->data<float>() : nullptr;
    std::shared_ptr<const FloatPlan> made = engines::prepare_onednn(problem, w, b, key.threads);
    if (!made) made = engines::prepare_plain(problem, w, b);
    constexpr std::size_t kKept = 4;
    const std::scoped_lock lock(mutex);
    if (plans.size() == kKept) plans.erase(plans.begin());
    plans.emplace_back(key, made);
    return made;
  }

  // Checks an input of these sizes and gives the convolution's problem.
  ConvProblem problem(const Shape& sizes) const {
    check(sizes.rank() == geometry.ndim + 2, "{}: expected an input with {} dimensions, got sizes {}", who,
          geometry.ndim + 2, sizes);
    check(sizes[1] == geometry.in_channels,
          "{}: given groups={} and a weight of sizes {}, expected an input with {} channels, got sizes {}",
          who, geometry.groups, geometry.weight_sizes(), geometry.in_channels, sizes);
    ConvProblem p;
    p.geometry = geometry;
    p.batch = sizes[0];
    for (int d = 0; d < geometry.ndim; ++d)
      p.input[static_cast<std::size_t>(3 - geometry.ndim + d)] = sizes[2 + d];
    p.validate(who);
    return p;
  }

  Spatial planned_input(Spatial input) const {
    if (geometry.padding_mode == PaddingMode::zeros) return input;
    for (std::size_t d = 0; d < 3; ++d) input[d] += geometry.padding_begin[d] + geometry.padding_end[d];
    return input;
  }
};

FloatConvolution::FloatConvolution(const ConvGeometry& geometry, const Tensor& weight,
                                   const std::optional<Tensor>& bias, const FloatPostOp& post_op,
                                   std::string_view who)
    : impl_(std::make_unique<Impl>()) {
  impl_->who = who.empty() ? geometry.name() : std::string(who);
  geometry.validate(impl_->who);
  ops::check_float(impl_->who, weight, "weight");
  check(weight.sizes() == geometry.weight_sizes(), "{}: expected a weight of sizes {}, got {}", impl_->who,
        geometry.weight_sizes(), weight.sizes());
  check_bias(impl_->who, bias, geometry.out_channels);
  check_post_op(impl_->who, post_op);
  impl_->geometry = geometry;
  impl_->planned = without_padding_mode(geometry);
  impl_->weight = weight.clone();
  if (bias) impl_->bias = bias->clone();
  impl_->post_op = post_op;
}

FloatConvolution::~FloatConvolution() = default;
FloatConvolution::FloatConvolution(FloatConvolution&&) noexcept = default;
FloatConvolution& FloatConvolution::operator=(FloatConvolution&&) noexcept = default;

const ConvGeometry& FloatConvolution::geometry() const noexcept { return impl_->geometry; }
const FloatPostOp& FloatConvolution::post_op() const noexcept { return impl_->post_op; }

Shape FloatConvolution::output_sizes(const Shape& input) const {
  Shape sizes = impl_->problem(input).output_sizes();
  for (std::int64_t& s : sizes) s = std::max<std::int64_t>(s, 0);
  return sizes;
}

std::string FloatConvolution::kernel(const Shape& input) const {
  const ConvProblem p = impl_->problem(input);
  return p.batch == 0 ? "none" : impl_->plan(p.batch, impl_->planned_input(p.input))->kernel();
}

Tensor FloatConvolution::run(const Tensor& input, const Tensor& addend) const {
  ops::check_float(impl_->who, input);
  Tensor output = Tensor::empty(output_sizes(input.sizes()), float32, MemoryFormat::channels_last);
  run_into(output, input, addend);
  return output;
}

void FloatConvolution::run_into(Tensor& output, const Tensor& input, const Tensor& addend) const {
  const Impl& impl = *impl_;
  ops::check_float(impl.who, input);
  ops::check_float(impl.who, output, "output");
  const ConvProblem p = impl.problem(input.sizes());
  const Shape sizes = output_sizes(input.sizes());
  check(output.sizes() == sizes && output.is_contiguous(MemoryFormat::channels_last),
        "{}: expected a channels-last output of sizes {}, got sizes {} with strides {}", impl.who, sizes,
        output.sizes(), output.strides());
  check(addend.defined() == impl.post_op.add, "{}: a tensor to add is {}", impl.who,
        impl.post_op.add ? "missing" : "given, but the post op adds nothing");
  if (addend.defined()) {
    ops::check_float(impl.who, addend, "tensor to add");
    check(addend.sizes() == sizes, "{}: the tensor to add has sizes {}, expected the output's, {}", impl.who,
          addend.sizes(), sizes);
  }
  if (output.numel() == 0) return;
  const Tensor x = impl.geometry.padding_mode == PaddingMode::zeros
                       ? input.contiguous(MemoryFormat::channels_last)
                       : functional::pad(input, border_of(impl.geometry), impl.geometry.padding_mode);
  const Tensor extra = addend.defined() ? addend.contiguous(MemoryFormat::channels_last) : Tensor();
  impl.plan(p.batch, impl.planned_input(p.input))
      ->run({x.data<float>(), extra.defined() ? extra.data<float>() : nullptr, output.mutable_data<float>()},
            *engines::float_pool());
}

namespace {

ConvGeometry linear_geometry(const Tensor& weight, std::string_view who) {
  ops::check_float(who, weight, "weight");
  check(weight.dim() == 2, "{}: expected a weight of sizes (out_features, in_features), got sizes {}", who,
        weight.sizes());
  ConvGeometry g;
  g.ndim = 1;
  g.out_channels = weight.size(0);
  g.in_channels = weight.size(1);
  g.validate(who);
  return g;
}

// (rows, features) in row-major memory seen as (1, features, rows), which is then channels-last.
Tensor as_positions(const Tensor& x, std::int64_t rows, std::int64_t features) {
  return x.contiguous().view({rows, features}).transpose(0, 1).unsqueeze(0);
}

}  // namespace

FloatLinear::FloatLinear(const Tensor& weight, const std::optional<Tensor>& bias, const FloatPostOp& post_op,
                         std::string_view who)
    : convolution_(linear_geometry(weight, who), weight.unsqueeze(2), bias, post_op, who), who_(who) {}

Tensor FloatLinear::run(const Tensor& input, const Tensor& addend) const {
  ops::check_float(who_, input);
  check(input.dim() >= 1 && input.size(-1) == in_features(),
        "{}: expected an input of sizes (..., {}) for a weight of sizes ({}, {}), got {}", who_,
        in_features(), out_features(), in_features(), input.sizes());
  Shape sizes = input.sizes();
  sizes[sizes.rank() - 1] = out_features();
  const std::int64_t rows = input.numel() / in_features();
  if (rows == 0) return Tensor::empty(sizes, float32);
  if (addend.defined()) {
    check(addend.sizes() == sizes, "{}: the tensor to add has sizes {}, expected the output's, {}", who_,
          addend.sizes(), sizes);
  }
  const Tensor y = convolution_.run(as_positions(input, rows, in_features()),
                                    addend.defined() ? as_positions(addend, rows, out_features()) : Tensor());
  return y.select(0, 0).transpose(0, 1).view(sizes);
}

std::string float_library() {
  const std::string version = engines::onednn_version();
  return version.empty() ? "plain" : "onednn " + version;
}

namespace functional {
namespace {

// Geometry from the weight's sizes and the arguments; `who` is also the message's subject.
ConvGeometry geometry_of(std::string_view who, int ndim, bool transposed, const Tensor& weight,
                         const IntList& stride, const Padding& padding, const IntList& output_padding,
                         const IntList& dilation, std::int64_t groups, PaddingMode mode) {
  ops::check_float(who, weight, "weight");
  check(weight.dim() == ndim + 2, "{}: weights are expected to have {} dimensions, got sizes {}", who,
        ndim + 2, weight.sizes());
  check(groups >= 1, "{}: groups must be at least 1, got {}", who, groups);
  ConvGeometry g;
  g.ndim = ndim;
  g.transposed = transposed;
  g.groups = groups;
  std::int64_t whole = 0;
  check(!__builtin_mul_overflow(weight.size(1), groups, &whole),
        "{}: {} channels in each of {} groups are too many", who, weight.size(1), groups);
  g.in_channels = transposed ? weight.size(0) : whole;
  g.out_channels = transposed ? whole : weight.size(0);
  for (int d = 0; d < ndim; ++d) g.kernel[static_cast<std::size_t>(3 - ndim + d)] = weight.size(2 + d);
  g.stride = stride.spatial(ndim, 1, who, "stride");
  g.dilation = dilation.spatial(ndim, 1, who, "dilation");
  g.output_padding = output_padding.spatial(ndim, 0, who, "output_padding");
  g.padding_mode = mode;
  g.validate(who);
  padding.apply(g, who);
  return g;
}

}  // namespace

#define QCONV_DEFINE_CONV(N)                                                                                \
  Tensor conv##N##d(const Tensor& input, const Tensor& weight, const Bias& bias, const IntList& stride,     \
                    const Padding& padding, const IntList& dilation, std::int64_t groups,                   \
                    PaddingMode padding_mode) {                                                             \
    return FloatConvolution(geometry_of("conv" #N "d", N, false, weight, stride, padding, 0, dilation,      \
                                        groups, padding_mode),                                              \
                            weight, bias)                                                                   \
        .run(input);                                                                                        \
  }                                                                                                         \
  Tensor conv_transpose##N##d(const Tensor& input, const Tensor& weight, const Bias& bias,                  \
                              const IntList& stride, const Padding& padding, const IntList& output_padding, \
                              std::int64_t groups, const IntList& dilation) {                               \
    return FloatConvolution(geometry_of("conv_transpose" #N "d", N, true, weight, stride, padding,          \
                                        output_padding, dilation, groups, PaddingMode::zeros),              \
                            weight, bias)                                                                   \
        .run(input);                                                                                        \
  }

QCONV_DEFINE_CONV(1)
QCONV_DEFINE_CONV(2)
QCONV_DEFINE_CONV(3)
#undef QCONV_DEFINE_CONV

Tensor linear(const Tensor& input, const Tensor& weight, const Bias& bias) {
  return FloatLinear(weight, bias).run(input);
}

}  // namespace functional
}  // namespace qconv
