#include "graph/layer_times.hpp"

#include <algorithm>
#include <chrono>

namespace qconv::graph {
namespace {

constexpr std::size_t kLeastRuns = 3;
constexpr std::size_t kMostRuns = 1000;

double middle(std::vector<double> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

struct Samples {
  std::vector<LayerTime> names;
  std::vector<std::vector<double>> layers;
  std::vector<double> totals;

  // Returns the seconds that it took.
  double run(const Network& network, std::span<const Tensor> inputs) {
    const auto start = std::chrono::steady_clock::now();
    network.run(inputs, {.tap = {}, .profile = &names});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    totals.push_back(took.count() * 1e6);
    layers.resize(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) layers[i].push_back(names[i].microseconds);
    return took.count();
  }
  LayerTimes medians() const {
    LayerTimes times;
    times.total = middle(totals);
    for (std::size_t i = 0; i < names.size(); ++i)
      times.layers.emplace_back(names[i].name, middle(layers[i]));
    return times;
  }
};

}  // namespace

TwoTimes time_layers(const Network& first, const Network& second, std::span<const Tensor> inputs,
                     double seconds) {
  first.run(inputs);
  second.run(inputs);
  Samples a;
  Samples b;
  double spent = 0;
  std::size_t runs = 0;
  for (; runs < kLeastRuns || (runs < kMostRuns && spent < seconds); ++runs) {
    spent += a.run(first, inputs) + b.run(second, inputs);
  }
  return {a.medians(), b.medians(), runs};
}

}  // namespace qconv::graph
