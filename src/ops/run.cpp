#include "ops/run.hpp"

#include "ops/packed_checks.hpp"
#include "ops/packed_params_impl.hpp"
#include "support/check.hpp"

namespace qconv::ops {
namespace {

void check_input(std::string_view who, const Tensor& x, const ConvGeometry& g) {
  check(x.defined(), "{}: the input is undefined", who);
  check<TypeError>(x.dtype() == quint8 || x.dtype() == qint8,
                   "{}: expected an activation of dtype quint8 or qint8, got {}{}", who, to_string(x.dtype()),
                   x.dtype() == float32 ? "; call quantize_per_tensor first" : "");
  check<TypeError>(!x.qparams().is_per_channel(),
                   "{}: activations are quantized per tensor, got per-channel parameters", who);
  check(x.dim() == g.ndim + 2, "{}: expected an activation with {} dimensions, got sizes {}", who, g.ndim + 2,
        x.sizes());
  check(x.size(1) == g.in_channels,
        "{}: given groups={} and a weight of sizes {}, expected an input with {} channels, got sizes {}", who,
        g.groups, g.weight_sizes(), g.in_channels, x.sizes());
}

ConvProblem problem_of(const ConvPackedParams::Impl& packed, const RunRequest& request) {
  ConvProblem p;
  p.geometry = packed.geometry;
  p.batch = request.input.size(0);
  for (int d = 0; d < p.geometry.ndim; ++d) {
    p.input[static_cast<std::size_t>(3 - p.geometry.ndim + d)] = request.input.size(2 + d);
  }
  p.input_dtype = request.input.dtype();
  p.output_dtype = request.output_dtype.value_or(p.input_dtype);
  p.weight_scheme =
      packed.weight.qparams().is_per_channel() ? WeightScheme::per_channel : WeightScheme::per_tensor;
  p.weight_zero_points = packed.weight_zero_points;
  p.bias = packed.bias.has_value();
  p.post_op = request.addend ? (request.relu ? PostOp::add_relu : PostOp::add)
                             : (request.relu ? PostOp::relu : PostOp::none);
  p.validate(request.who);
  return p;
}

void check_addend(std::string_view who, const Tensor& addend, const Tensor& output) {
  check(addend.defined(), "{}: the tensor to add is undefined", who);
  check<TypeError>(addend.dtype() == output.dtype() && !addend.qparams().is_per_channel(),
                   "{}: the tensor to add must have the output's dtype {}, quantized per tensor, got {}", who,
                   to_string(output.dtype()), addend);
  check(addend.sizes() == output.sizes(), "{}: the tensor to add has sizes {}, expected the output's, {}",
        who, addend.sizes(), output.sizes());
}

Shape clamp_sizes(Shape sizes) {
  for (std::int64_t& s : sizes) s = std::max<std::int64_t>(s, 0);
  return sizes;
}

}  // namespace

Tensor run(const ConvPackedParams& packed, const RunRequest& request) {
  const ConvPackedParams::Impl& impl = packed.impl();
  check_input(request.who, request.input, impl.geometry);
  const ConvProblem problem = problem_of(impl, request);
  Tensor output = [&] {
    const QParams q = QParams::per_tensor(request.output_scale, request.output_zero_point);
    const Shape sizes = clamp_sizes(problem.output_sizes());
    check_qparams(q, sizes, problem.output_dtype, request.who, ": output");
    return Tensor::empty_quantized(sizes, problem.output_dtype, q, MemoryFormat::channels_last);
  }();
  if (request.addend) check_addend(request.who, *request.addend, output);
  if (output.numel() == 0) return output;

  const QParams addend_qparams = request.addend ? request.addend->qparams() : QParams{};
  const PlanKey key{problem,
                    request.input.q_scale(),
                    request.input.q_zero_point(),
                    request.output_scale,
                    request.output_zero_point,
                    addend_qparams.scales[0],
                    addend_qparams.zero_points[0]};
  const auto plan = impl.plans.get(key, [&] {
    const std::span<const float> bias =
        impl.bias ? std::span(impl.bias->data<float>(), static_cast<std::size_t>(impl.bias->numel()))
                  : std::span<const float>();
    return impl.engine->prepare(impl.packed, problem,
                                make_requantization({.input_scale = key.input_scale,
                                                     .input_zero_point = key.input_zero_point,
                                                     .weight_scheme = problem.weight_scheme,
                                                     .weight_scales = impl.weight_scales,
                                                     .bias = bias,
                                                     .output_scale = key.output_scale,
                                                     .output_zero_point = key.output_zero_point,
                                                     .output_dtype = problem.output_dtype,
                                                     .relu = request.relu,
                                                     .addend_scale = key.addend_scale,
                                                     .addend_zero_point = key.addend_zero_point,
                                                     .accumulator_bound = impl.accumulator_bound,
                                                     .rule = impl.rule},
                                                    problem.geometry.out_channels, request.who));
  });
  const Tensor x = request.input.contiguous(MemoryFormat::channels_last);
  const Tensor addend = request.addend ? request.addend->contiguous(MemoryFormat::channels_last) : Tensor();
  plan->run({x.raw_data(), addend.raw_data(), output.raw_mutable_data()}, *current_pool());
  return output;
}

#define QCONV_DEFINE_CONV(N)                                                                             \
  Tensor conv##N##d(const Tensor& qx, const PackedParams& packed, double scale, std::int64_t zero_point, \
                    OutputDType output_dtype) {                                                          \
    return run(checked("conv" #N "d", packed, N, false),                                                 \
               {"conv" #N "d", qx, nullptr, scale, zero_point, output_dtype});                           \
  }                                                                                                      \
  Tensor conv##N##d_relu(const Tensor& qx, const PackedParams& packed, double scale,                     \
                         std::int64_t zero_point, OutputDType output_dtype) {                            \
    return run(checked("conv" #N "d_relu", packed, N, false),                                            \
               {"conv" #N "d_relu", qx, nullptr, scale, zero_point, output_dtype, true});                \
  }                                                                                                      \
  Tensor conv##N##d_add(const Tensor& qx, const Tensor& accum, const PackedParams& packed, double scale, \
                        std::int64_t zero_point) {                                                       \
    return run(checked("conv" #N "d_add", packed, N, false),                                             \
               {"conv" #N "d_add", qx, &accum, scale, zero_point, std::nullopt});                        \
  }                                                                                                      \
  Tensor conv##N##d_add_relu(const Tensor& qx, const Tensor& accum, const PackedParams& packed,          \
                             double scale, std::int64_t zero_point) {                                    \
    return run(checked("conv" #N "d_add_relu", packed, N, false),                                        \
               {"conv" #N "d_add_relu", qx, &accum, scale, zero_point, std::nullopt, true});             \
  }                                                                                                      \
  Tensor conv_transpose##N##d(const Tensor& qx, const PackedParams& packed, double scale,                \
                              std::int64_t zero_point, OutputDType output_dtype) {                       \
    return run(checked("conv_transpose" #N "d", packed, N, true),                                        \
               {"conv_transpose" #N "d", qx, nullptr, scale, zero_point, output_dtype});                 \
  }

QCONV_DEFINE_CONV(1)
QCONV_DEFINE_CONV(2)
QCONV_DEFINE_CONV(3)
#undef QCONV_DEFINE_CONV

}  // namespace qconv::ops
