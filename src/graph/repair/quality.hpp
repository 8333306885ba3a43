#pragma once

#include <cstdint>
#include <vector>

#include <qconv/quantize_search.hpp>

namespace qconv::graph {

/// Judges networks by the results of a float one, which it computes once and keeps.
class Judge {
 public:
  /// Throws ValueError when there is no data, or not one label per sample and score.
  Judge(const Network& real, const BatchSource& data, std::vector<std::int64_t> labels);

  Quality operator()(const Network& network) const;
  /// Of the float network.
  const Quality& real() const noexcept { return real_; }

 private:
  const BatchSource& data_;
  std::vector<std::int64_t> labels_;
  std::vector<std::vector<std::vector<float>>> expected_;  // by batch and output
  double range_ = 0;
  Quality real_;
};

/// The value that the metric looks at.
double value_of(const Quality& quality, Metric metric) noexcept;
/// Whether it is good enough, beside the float network's.
bool holds(const Quality& quality, const Quality& real, Metric metric, double limit) noexcept;

}  // namespace qconv::graph
