#pragma once

#include <span>

#include <qconv/report.hpp>

namespace qconv::graph {

/// Counts values whose range is not known beforehand, in one pass and fixed memory. Bins are as wide as a
/// power of two and begin at its multiples, so that two neighbours merge exactly when the range grows: the
/// result does not depend on the order of the values.
class DistributionCounter {
 public:
  /// At most so many bins; what comes out has more than half as many, unless the values are few and equal.
  static constexpr std::int64_t kMaxBins = 128;

  void add(std::span<const float> values);
  const ValueDistribution& result() const noexcept { return result_; }

 private:
  void cover(double low, double high);

  ValueDistribution result_;
};

}  // namespace qconv::graph
