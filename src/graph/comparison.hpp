#pragma once

#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <qconv/report.hpp>

#include "graph/correspondence.hpp"
#include "graph/distribution.hpp"
#include "graph/error_sums.hpp"
#include "graph/executor.hpp"

namespace qconv::graph {

/// What the integers of a quantized value stand for; nothing for a float value.
std::optional<QuantizedRange> quantized_range(const Value& value);

/// What is counted about one layer of the network that is judged.
struct LayerCounters {
  ErrorSums accumulated;
  ErrorSums local;
  DistributionCounter values;
  std::uint64_t below = 0;  ///< values that the chosen integers do not reach
  std::uint64_t above = 0;
};

/// Sets the results of a network against those of the network that it was made of, batch by batch. Keeps the
/// reference's results of one batch, and a few numbers and bins per layer.
class Comparison {
 public:
  /// Keeps references to both. `local`: runs every integer layer on the reference's inputs too.
  Comparison(const Network& reference, const Network& other, bool local);

  /// Runs both on the batch and returns their results, the reference's first.
  std::pair<std::vector<Tensor>, std::vector<Tensor>> add(const std::vector<Tensor>& batch);

  const Correspondence& pairs() const { return pairs_; }
  /// Of a node of the other network.
  const LayerCounters& counters(std::size_t node) const { return counters_[node]; }

 private:
  using Expected = std::unordered_map<ValueId, Tensor>;

  const Tensor* expected_of(const Expected& expected, ValueId other) const;
  void add_layer(const Plan& plan, const LayerResult& result, const Expected& expected);
  Tensor run_alone(const Plan& plan, const Plan::Step& step, const Tensor& like,
                   const Expected& expected) const;

  const Network& reference_;
  const Network& other_;
  bool local_;
  Correspondence pairs_;
  std::vector<LayerCounters> counters_;
};

/// The elements of a dense float32 tensor.
inline std::span<const float> elements(const Tensor& dense) {
  return {dense.data<float>(), static_cast<std::size_t>(dense.numel())};
}
std::vector<Shape> sizes_of(std::span<const Tensor> tensors);

}  // namespace qconv::graph
