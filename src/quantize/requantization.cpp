#include "quantize/requantization.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/check.hpp"

namespace qconv {
namespace {

struct Channel {
  std::int32_t integer_bias;
  float bias;
  float multiplier;
};

// FBGEMM: the bias stays float. With per-channel weights it is divided by the accumulator's scale; with
// per-tensor weights the reciprocal of that scale is the epilogue's bias_scale.
Channel fbgemm_channel(float accumulator_scale, float bias, float output_scale, bool per_tensor) {
  return {0, per_tensor ? bias : bias / accumulator_scale, accumulator_scale / output_scale};
}

// QNNPACK: the bias is quantized to int32 with the accumulator's scale, and joins the accumulator.
Channel qnnpack_channel(double input_scale, double weight_scale, float bias, double output_scale) {
  const float inverse = 1.0F / static_cast<float>(weight_scale * input_scale);
  const double quantized = std::nearbyint(static_cast<double>(bias * inverse));
  const float accumulator_scale = static_cast<float>(weight_scale) * static_cast<float>(input_scale);
  constexpr double kLimit = std::numeric_limits<std::int32_t>::max();
  return {static_cast<std::int32_t>(std::clamp(quantized, -kLimit, kLimit)), 0.0F,
          accumulator_scale * (1.0F / static_cast<float>(output_scale))};
}

float magnitude(const Channel& c, float bias_scale, std::int64_t accumulator_bound) {
  const float sum = static_cast<float>(accumulator_bound) + std::abs(static_cast<float>(c.integer_bias));
  const float value = (sum + std::abs(c.bias * bias_scale)) * c.multiplier;
  return std::isnan(value) ? std::numeric_limits<float>::infinity() : value;
}

}  // namespace

Requantization make_requantization(const RequantizationInputs& in, std::int64_t out_channels,
                                   std::string_view who) {
  const DTypeInfo& output = info(in.output_dtype);
  Requantization r;
  r.zero_point = static_cast<std::int32_t>(in.output_zero_point);
  r.lo = in.relu ? r.zero_point : static_cast<std::int32_t>(output.quant_min);
  r.hi = static_cast<std::int32_t>(output.quant_max);
  r.input_zero_point = static_cast<std::int32_t>(in.input_zero_point);
  r.addend_zero_point = static_cast<std::int32_t>(in.addend_zero_point);
  r.addend_multiplier = static_cast<float>(in.addend_scale) / static_cast<float>(in.output_scale);
  const bool per_tensor = in.weight_scheme == WeightScheme::per_tensor;
  for (std::size_t oc = 0; oc < static_cast<std::size_t>(out_channels); ++oc) {
    const double weight_scale = in.weight_scales[per_tensor ? 0 : oc];
    const float bias = in.bias.empty() ? 0.0F : in.bias[oc];
    const float accumulator_scale = static_cast<float>(in.input_scale) * static_cast<float>(weight_scale);
    const bool fbgemm = in.rule == RequantRule::fbgemm;
    const Channel c =
        fbgemm ? fbgemm_channel(accumulator_scale, bias, static_cast<float>(in.output_scale), per_tensor)
               : qnnpack_channel(in.input_scale, weight_scale, bias, in.output_scale);
    if (fbgemm && per_tensor) r.bias_scale = 1.0F / accumulator_scale;
    check(std::isnormal(c.multiplier) && c.multiplier > 0,
          "{}: input scale {} times weight scale {} over output scale {} is not a positive normal float", who,
          in.input_scale, weight_scale, in.output_scale);
    check(std::abs(static_cast<std::int64_t>(c.integer_bias)) <=
              std::numeric_limits<std::int32_t>::max() - in.accumulator_bound,
          "{}: bias {} of output channel {} overflows int32 once quantized with scale {}", who, bias, oc,
          in.input_scale * weight_scale);
    r.magnitude = std::max(r.magnitude, magnitude(c, r.bias_scale, in.accumulator_bound));
    r.integer_bias.push_back(c.integer_bias);
    r.bias.push_back(c.bias);
    r.multiplier.push_back(c.multiplier);
  }
  return r;
}

}  // namespace qconv
