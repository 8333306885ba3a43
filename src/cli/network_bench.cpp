#include "cli/network_bench.hpp"

#include <algorithm>
#include <random>

#include "cli/command.hpp"

namespace qconv::cli {
namespace {

constexpr double kSeconds = 0.5;
constexpr std::size_t kRuns = 5;

Tensor random_input(const Shape& sizes) {
  std::mt19937 random(7);
  Tensor input = Tensor::empty(sizes, DType::float32);
  float* values = input.mutable_data<float>();
  for (std::int64_t i = 0; i < input.numel(); ++i) values[i] = static_cast<float>(random() >> 8) * 0x1p-24F;
  return input;
}

Timing timing_of(std::vector<double> microseconds) {
  const double lowest = *std::min_element(microseconds.begin(), microseconds.end());
  return {median(std::move(microseconds)), lowest};
}

}  // namespace

std::vector<Shape> bench_sizes(const Network& network, const std::string& file, const std::string& text) {
  const ValueInfo& input = only_input(network, file);
  if (!text.empty()) return {parse_sizes(text, "--input-size")};
  Shape sizes = input.sizes.value_or(Shape{-1});
  if (sizes.rank() > 1 && sizes[0] < 0) sizes[0] = 1;
  if (std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; })) {
    throw UsageError(
        fmt::format("{}: takes inputs of any size, {}; give --input-size", file, input.to_string()));
  }
  return {sizes};
}

std::vector<LayerTiming> time_network(const Network& network, const std::vector<Shape>& input_sizes) {
  std::vector<Tensor> inputs;
  for (const Shape& sizes : input_sizes) inputs.push_back(random_input(sizes));
  network.run(inputs);
  std::vector<LayerTiming> result;
  for (const LayerInfo& layer : network.layers(input_sizes)) {
    result.push_back({layer.name, layer.engine, layer.kernel, {}, layer.multiply_adds});
  }
  std::vector<std::vector<double>> times(result.size());
  std::vector<double> totals;
  for (double spent = 0; spent < kSeconds || totals.size() < kRuns;) {
    std::vector<LayerTime> profile;
    const double seconds = seconds_of([&] { network.run(inputs, {.tap = {}, .profile = &profile}); });
    spent += seconds;
    totals.push_back(seconds * 1e6);
    for (std::size_t i = 0; i < times.size(); ++i) times[i].push_back(profile.at(i).microseconds);
  }
  LayerTiming total{"total", "", "", timing_of(totals), 0};
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].timing = timing_of(std::move(times[i]));
    total.multiply_adds += result[i].multiply_adds;
  }
  result.push_back(total);
  return result;
}

}  // namespace qconv::cli
