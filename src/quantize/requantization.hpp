#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <qconv/packed_params.hpp>

namespace qconv {

/// How the accumulators of a convolution become output integers: the numbers of requant_math.hpp for every
/// output channel, worked out once per combination of parameters.
///
///     y = clamp(rint((float(acc + integer_bias) + bias) * multiplier + float(a2 - addend_zero_point) *
///     addend_multiplier) + zero_point)
///
/// with the addend's term only where there is an addend.
struct Requantization {
  std::vector<std::int32_t> integer_bias;  ///< per output channel; all 0 under the fbgemm rule
  std::vector<float> bias;                 ///< per output channel, in units of accumulator / bias_scale
  float bias_scale = 1;                    ///< see math::scale_accumulator
  std::vector<float> multiplier;           ///< per output channel
  std::int32_t zero_point = 0;
  std::int32_t lo = 0;  ///< lowest output: the zero point under a ReLU, else the dtype's
  std::int32_t hi = 255;
  std::int32_t input_zero_point = 0;
  std::int32_t addend_zero_point = 0;
  float addend_multiplier = 0;
  /// No value exceeds this before rounding, in steps of the output and without the addend; infinite when a
  /// bias is not a number.
  float magnitude = 0;
};

/// Scales and zero points of one call, before they are combined.
struct RequantizationInputs {
  double input_scale;
  std::int64_t input_zero_point;
  WeightScheme weight_scheme;
  std::span<const double> weight_scales;  ///< per output channel, or one when per tensor
  std::span<const float> bias;            ///< per output channel, or empty
  double output_scale;
  std::int64_t output_zero_point;
  DType output_dtype;
  bool relu;
  double addend_scale = 1;  ///< of the tensor added, when there is one
  std::int64_t addend_zero_point = 0;
  std::int64_t accumulator_bound;  ///< no accumulator exceeds this in magnitude
  RequantRule rule;
};

/// Throws ValueError, in the name of `who`, when a multiplier is not a positive finite float.
Requantization make_requantization(const RequantizationInputs& in, std::int64_t out_channels,
                                   std::string_view who);

}  // namespace qconv
