#include "cli/conv_bench.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace qconv::cli {
namespace {

constexpr std::int64_t kInputZeroPoint = 12;
constexpr std::int64_t kOutputZeroPoint = 100;
constexpr double kInputScale = 0.02;
constexpr double kOutputScale = 0.05;
/// The standard deviation of outputs, in steps of the output's scale.
constexpr double kOutputSpread = 40;

AlignedBuffer<std::uint8_t> random_bytes(std::int64_t count, std::mt19937& random) {
  AlignedBuffer<std::uint8_t> bytes(static_cast<std::size_t>(count));
  for (auto& byte : bytes.span()) byte = static_cast<std::uint8_t>(random() >> 24);
  return bytes;
}

int uniform(std::mt19937& random, int lo, int hi) {
  return lo + static_cast<int>(random() % static_cast<std::uint32_t>(hi - lo + 1));
}

// The largest weight that no reduction can overflow int32 with.
int weight_reach(const ConvGeometry& geometry) {
  const std::int64_t limit = std::numeric_limits<std::int32_t>::max() / 255 / geometry.reduction();
  return static_cast<int>(std::clamp<std::int64_t>(limit, 1, 127));
}

// Terms that reach one output: a transposed convolution spreads its taps over the stride.
double terms_per_output(const ConvGeometry& g) {
  const double all = static_cast<double>(g.reduction());
  if (!g.transposed) return all;
  return std::max(1.0, all / static_cast<double>(g.stride[0] * g.stride[1] * g.stride[2]));
}

Requantization requantization(const ConvProblem& problem, int reach, std::mt19937& random) {
  const ConvGeometry& g = problem.geometry;
  const double deviation_of_term = 255 / std::sqrt(12.0) * reach / std::sqrt(3.0);
  const double multiplier = kOutputSpread / (deviation_of_term * std::sqrt(terms_per_output(g)));
  std::vector<double> scales;
  const bool per_channel = problem.weight_scheme == WeightScheme::per_channel;
  for (std::int64_t k = 0; k < (per_channel ? g.out_channels : 1); ++k) {
    scales.push_back(multiplier * (0.8 + 0.0004 * uniform(random, 0, 999)) * kOutputScale / kInputScale);
  }
  std::vector<float> bias;
  for (std::int64_t k = 0; problem.bias && k < g.out_channels; ++k) {
    bias.push_back(static_cast<float>(kOutputScale * 0.1 * uniform(random, -100, 100)));
  }
  const auto shifted = [](DType dtype, std::int64_t zero_point) {
    return zero_point + info(dtype).quant_min;
  };
  return make_requantization({.input_scale = kInputScale,
                              .input_zero_point = shifted(problem.input_dtype, kInputZeroPoint),
                              .weight_scheme = problem.weight_scheme,
                              .weight_scales = scales,
                              .bias = bias,
                              .output_scale = kOutputScale,
                              .output_zero_point = shifted(problem.output_dtype, kOutputZeroPoint),
                              .output_dtype = problem.output_dtype,
                              .relu = has_relu(problem.post_op),
                              .addend_scale = kOutputScale / 2,
                              .addend_zero_point = shifted(problem.output_dtype, kOutputZeroPoint),
                              .accumulator_bound = g.reduction() * 255 * reach,
                              .rule = RequantRule::fbgemm},
                             g.out_channels, "bench");
}

}  // namespace

ConvBench::ConvBench(const ConvProblem& problem, std::string_view engine)
    : engine_(&engines::choose(problem.geometry, engine)) {
  std::mt19937 random(7);
  const ConvGeometry& g = problem.geometry;
  const int reach = weight_reach(g);
  input_ = random_bytes(problem.input_sizes().numel(), random);
  const std::int64_t outputs = problem.output_sizes().numel();
  if (has_add(problem.post_op)) addend_ = random_bytes(outputs, random);
  output_ = AlignedBuffer<std::uint8_t>(static_cast<std::size_t>(outputs));
  weights_.resize(static_cast<std::size_t>(g.weight_sizes().numel()));
  for (auto& w : weights_) w = static_cast<std::int8_t>(uniform(random, -reach, reach));
  std::vector<std::int32_t> zero_points;
  for (std::int64_t k = 0; k < g.out_channels; ++k) {
    const bool fresh = problem.weight_scheme == WeightScheme::per_channel || k == 0;
    zero_points.push_back(!problem.weight_zero_points ? 0
                          : fresh                     ? uniform(random, -reach / 2, reach / 2)
                                                      : zero_points[0]);
  }
  const std::vector<engines::WeightSums> sums = engines::weight_sums(g, weights_.data(), zero_points);
  packed_ = engine_->pack(g, {weights_.data(), zero_points, sums});
  prepared_ = engine_->prepare(packed_, problem, requantization(problem, reach, random));
}

}  // namespace qconv::cli
