#include "ops/prepack.hpp"

#include <cmath>
#include <limits>

#include "engines/weight_sums.hpp"
#include "ops/packed_params_impl.hpp"
#include "support/check.hpp"

namespace qconv::ops {
namespace {

void check_weight(std::string_view who, const Tensor& weight, int ndim) {
  check(weight.defined(), "{}: the weight is undefined", who);
  check<TypeError>(weight.dtype() == qint8, "{}: expected a weight of dtype qint8, got {}", who,
                   to_string(weight.dtype()));
  check(weight.dim() == ndim + 2, "{}: weights are expected to have {} dimensions, got sizes {}", who,
        ndim + 2, weight.sizes());
}

// Channels and kernel from the weight's sizes.
void read_weight_sizes(std::string_view who, const Tensor& weight, ConvGeometry& g) {
  check(g.groups >= 1, "{}: groups must be at least 1, got {}", who, g.groups);
  const std::int64_t by_group = weight.size(1);
  std::int64_t whole = 0;
  check(!__builtin_mul_overflow(by_group, g.groups, &whole),
        "{}: {} channels in each of {} groups are too many", who, by_group, g.groups);
  g.in_channels = g.transposed ? weight.size(0) : whole;
  g.out_channels = g.transposed ? whole : weight.size(0);
  for (int d = 0; d < g.ndim; ++d) g.kernel[static_cast<std::size_t>(3 - g.ndim + d)] = weight.size(2 + d);
}

void check_bias(std::string_view who, const Bias& bias, std::int64_t out_channels) {
  if (!bias) return;
  check<TypeError>(bias->dtype() == float32, "{}: the bias must have dtype float32, got {}", who,
                   to_string(bias->dtype()));
  check(bias->dim() == 1, "{}: bias should be a vector (1-D tensor), got sizes {}", who, bias->sizes());
  check(bias->size(0) == out_channels, "{}: bias should have {} elements, one per output channel, got {}",
        who, out_channels, bias->size(0));
  for (const float b : bias->to_vector<float>())
    check(std::isfinite(b), "{}: bias holds {}, expected finite numbers", who, b);
}

// Scales and zero points of the weight for every output channel; one scale alone when it is quantized per
// tensor.
void expand_qparams(std::string_view who, const Tensor& weight, const ConvGeometry& g,
                    std::vector<double>& scales, std::vector<std::int32_t>& zero_points) {
  const QParams& q = weight.qparams();
  const int axis = g.transposed ? 1 : 0;
  check(!q.is_per_channel() || q.axis == axis,
        "{}: per-channel weights of a {} must have axis {} (the output channels), got axis {}", who, g.name(),
        axis, q.axis);
  const auto out_channels = static_cast<std::size_t>(g.out_channels);
  const std::size_t period =
      q.scales.size();  // a transposed weight has one scale per output channel of a group
  zero_points.resize(out_channels);
  for (std::size_t oc = 0; oc < out_channels; ++oc)
    zero_points[oc] = static_cast<std::int32_t>(q.zero_points[oc % period]);
  scales = q.scales;
  if (q.is_per_channel()) {
    scales.resize(out_channels);
    for (std::size_t oc = period; oc < out_channels; ++oc) scales[oc] = scales[oc % period];
  }
}

// The largest magnitude that any accumulator can reach: 255 times the largest sum of |w - zw| of an output
// channel.
std::int64_t accumulator_bound(std::span<const engines::WeightSums> sums) {
  std::int64_t largest = 0;
  for (const engines::WeightSums& of_channel : sums) largest = std::max(largest, of_channel.magnitude());
  return 255 * largest;
}

}  // namespace

PackedParams prepack(std::string_view who, const Tensor& weight, const Bias& bias, ConvGeometry geometry,
                     const Padding& padding, const PrepackOptions& options, const PackUse& use) {
  check_weight(who, weight, geometry.ndim);
  read_weight_sizes(who, weight, geometry);
  geometry.padding_mode = options.padding_mode;
  geometry.validate(who);
  padding.apply(geometry, who);
  geometry.validate(who);
  check_bias(who, bias, geometry.out_channels);

  auto impl = std::make_unique<ConvPackedParams::Impl>();
  impl->geometry = geometry;
  impl->rule = options.rule;
  impl->weight = weight.contiguous();
  if (bias) impl->bias = bias->clone();
  std::vector<std::int32_t> zero_points;
  expand_qparams(who, weight, geometry, impl->weight_scales, zero_points);
  for (const std::int32_t z : zero_points) impl->weight_zero_points = impl->weight_zero_points || z != 0;
  const std::int8_t* values = impl->weight.data<std::int8_t>();
  const std::vector<engines::WeightSums> sums = engines::weight_sums(geometry, values, zero_points);
  impl->accumulator_bound = accumulator_bound(sums);
  check(impl->accumulator_bound <= std::numeric_limits<std::int32_t>::max(),
        "{}: an accumulator over {} products of these weights could reach {} and leave int32; split the "
        "input channels",
        who, geometry.reduction(), impl->accumulator_bound);
  impl->engine = &engines::choose(geometry, options.engine);
  impl->packed = impl->engine->pack(geometry, {.values = values,
                                               .zero_points = zero_points,
                                               .sums = sums,
                                               .owner = std::make_shared<const Tensor>(impl->weight),
                                               .from_memory = use.from_memory});
  if (use.run_only) impl->weight = hollow(impl->weight);
  return std::make_shared<const ConvPackedParams>(std::move(impl));
}

Tensor hollow(const Tensor& weight) {
  static std::int32_t zero = 0;  // as wide as any element; never written to
  Shape strides = weight.sizes();
  for (std::int64_t& stride : strides) stride = 0;
  const auto qparams = is_quantized(weight.dtype()) ? std::optional(weight.qparams()) : std::nullopt;
  return Tensor::from_blob(&zero, weight.sizes(), strides, weight.dtype(), nullptr, qparams);
}

PackedParams prepack_copy(std::string_view who, const Tensor& weight, const Bias& bias,
                          const ConvGeometry& geometry, const Padding& padding,
                          const PrepackOptions& options) {
  check(weight.defined(), "{}: the weight is undefined", who);
  return prepack(who, weight.clone(), bias, geometry, padding, options);
}

namespace {

ConvGeometry geometry_of(std::string_view who, int ndim, const IntList& stride, const IntList& dilation,
                         std::int64_t groups) {
  ConvGeometry g;
  g.ndim = ndim;
  g.stride = stride.spatial(ndim, 1, who, "stride");
  g.dilation = dilation.spatial(ndim, 1, who, "dilation");
  g.groups = groups;
  return g;
}

PackedParams conv_prepack_nd(int ndim, const Tensor& weight, const Bias& bias, const IntList& stride,
                             const Padding& padding, const IntList& dilation, std::int64_t groups,
                             const PrepackOptions& options) {
  const std::string who = fmt::format("conv{}d_prepack", ndim);
  return prepack_copy(who, weight, bias, geometry_of(who, ndim, stride, dilation, groups), padding, options);
}

PackedParams conv_transpose_prepack_nd(int ndim, const Tensor& weight, const Bias& bias,
                                       const IntList& stride, const Padding& padding,
                                       const IntList& output_padding, const IntList& dilation,
                                       std::int64_t groups, const PrepackOptions& options) {
  const std::string who = fmt::format("conv_transpose{}d_prepack", ndim);
  ConvGeometry g = geometry_of(who, ndim, stride, dilation, groups);
  g.transposed = true;
  g.output_padding = output_padding.spatial(ndim, 0, who, "output_padding");
  return prepack_copy(who, weight, bias, g, padding, options);
}

}  // namespace

PackedParams conv_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                          const Padding& padding, const IntList& dilation, std::int64_t groups,
                          const PrepackOptions& options) {
  return conv2d_prepack(weight, bias, stride, padding, dilation, groups, options);
}

#define QCONV_DEFINE_PREPACK(N)                                                                            \
  PackedParams conv##N##d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,           \
                                  const Padding& padding, const IntList& dilation, std::int64_t groups,    \
                                  const PrepackOptions& options) {                                         \
    return conv_prepack_nd(N, weight, bias, stride, padding, dilation, groups, options);                   \
  }                                                                                                        \
  PackedParams conv_transpose##N##d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride, \
                                            const Padding& padding, const IntList& output_padding,         \
                                            const IntList& dilation, std::int64_t groups,                  \
                                            const PrepackOptions& options) {                               \
    return conv_transpose_prepack_nd(N, weight, bias, stride, padding, output_padding, dilation, groups,   \
                                     options);                                                             \
  }

QCONV_DEFINE_PREPACK(1)
QCONV_DEFINE_PREPACK(2)
QCONV_DEFINE_PREPACK(3)
#undef QCONV_DEFINE_PREPACK

}  // namespace qconv::ops
