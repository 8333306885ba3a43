#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include <qconv/report.hpp>

namespace qconv::graph {

/// Sums over pairs of values from which the figures follow; a few numbers, however many pairs there are.
class ErrorSums {
 public:
  /// Both have the same length.
  void add(std::span<const float> reference, std::span<const float> other) {
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const double x = static_cast<double>(reference[i]);
      const double y = static_cast<double>(other[i]);
      const double error = std::abs(x - y);
      signal_ += x * x;
      other_signal_ += y * y;
      product_ += x * y;
      noise_ += error * error;
      absolute_ += error;
      largest_ = std::max(largest_, error);
    }
    count_ += static_cast<double>(reference.size());
  }

  bool empty() const noexcept { return count_ == 0; }
  double mean_square() const noexcept { return count_ == 0 ? 0 : noise_ / count_; }
  ErrorFigures figures() const {
    ErrorFigures f;
    f.sqnr_db = noise_ == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal_ / noise_);
    const double lengths = std::sqrt(signal_) * std::sqrt(other_signal_);
    f.cosine = lengths > 0 ? product_ / lengths : signal_ == other_signal_ ? 1 : 0;
    f.mean_abs_error = count_ == 0 ? 0 : absolute_ / count_;
    f.max_abs_error = largest_;
    return f;
  }

 private:
  double signal_ = 0;
  double other_signal_ = 0;
  double product_ = 0;
  double noise_ = 0;
  double absolute_ = 0;
  double largest_ = 0;
  double count_ = 0;
};

}  // namespace qconv::graph
