#include <algorithm>
#include <cmath>
#include <limits>

#include <qconv/observers/calibrators.hpp>

#include "observers/affine_range.hpp"
#include "observers/bin_line.hpp"
#include "support/thread_pool.hpp"

namespace qconv {
namespace {

// What a range costs: the sum of squared errors of all values, each bin's spread evenly over it. Rounding
// moves x, counted in steps, to r(x) = clamp(rint(x), first, last), and the integral of (x - r(x))^2 from 0
// to x is r / 12 + (x - r)^3 / 3, whichever of the steps x lies in.
class QuantizationError {
 public:
  QuantizationError(const Observer& observer, const StreamingHistogram& histogram)
      : observer_(observer), line_(histogram), width_(histogram.bin_width()) {
    for (const std::int64_t c : line_.counts()) counts_.push_back(static_cast<double>(c));
  }
  const BinLine& line() const noexcept { return line_; }

  double operator()(Calibrator::Range range) const {
    const QParams q = qparams_for_range(observer_, {&range.min, 1}, {&range.max, 1}).qparams;
    const double step = q.scales[0];
    const auto first = static_cast<double>(observer_.quant_min() - q.zero_points[0]);
    const auto last = static_cast<double>(observer_.quant_max() - q.zero_points[0]);
    const double steps_per_bin = width_ / step;
    constexpr std::size_t kBlock = 256;
    double integral[kBlock + 1];
    double sum = 0;
    for (std::size_t i = 0; i < counts_.size(); i += kBlock) {
      const std::size_t n = std::min(kBlock, counts_.size() - i);
      const double begin = static_cast<double>(i) - line_.below();
      for (std::size_t j = 0; j <= n; ++j) {
        const double x = (begin + static_cast<double>(static_cast<int>(j))) * steps_per_bin;
        const double r = std::min(std::max(rounded(x), first), last);
        const double rest = x - r;
        integral[j] = r / 12 + rest * rest * rest / 3;
      }
      for (std::size_t j = 0; j < n; ++j) sum += counts_[i + j] * (integral[j + 1] - integral[j]);
    }
    return sum * step * step / steps_per_bin;
  }

 private:
  // rint() of numbers below 2^51 in two additions, which the compiler puts into vectors; larger ones are past
  // the last step in any case.
  static double rounded(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

  const Observer& observer_;
  BinLine line_;
  double width_;
  std::vector<double> counts_;
};

struct Choice {
  int index;
  double error;
};

// Of 1 to `count`, the largest with the least error.
template <class Error>
Choice least(int count, const Error& error) {
  std::vector<double> errors(static_cast<std::size_t>(count));
  parallel_for(*current_pool(), errors.size(),
               [&](std::size_t i) { errors[i] = error(static_cast<int>(i) + 1); });
  const auto best = std::min_element(errors.rbegin(), errors.rend());
  return {static_cast<int>(errors.rend() - best), *best};
}

}  // namespace

MSEObserver::MSEObserver(const ObserverOptions& options) : Calibrator("MSEObserver", options) {}

std::unique_ptr<Observer> MSEObserver::clone() const { return std::make_unique<MSEObserver>(*this); }

Calibrator::Range MSEObserver::choose() const {
  const StreamingHistogram& h = histogram();
  const QuantizationError error(*this, h);
  const int below = error.line().below();
  const int above = error.line().above();
  const Range all{std::min(h.min(), 0.0F), std::max(h.max(), 0.0F)};
  if (all.min == all.max) return all;
  const auto range = [&](int low, int high) {
    return Range{std::max(static_cast<float>(-low * h.bin_width()), all.min),
                 std::min(static_cast<float>(high * h.bin_width()), all.max)};
  };
  Choice best = least(std::max(below, above), [&](int t) { return error(range(t, t)); });
  int low = std::min(best.index, below);
  int high = std::min(best.index, above);
  if (is_symmetric(qscheme()) || below == 0 || above == 0) return range(low, high);
  // Each round lowers the error, so it ends.
  for (bool moved = true; moved;) {
    const Choice other_high = least(above, [&](int t) { return error(range(low, t)); });
    moved = other_high.error < best.error;
    if (moved) {
      high = other_high.index;
      best.error = other_high.error;
    }
    const Choice other_low = least(below, [&](int t) { return error(range(t, high)); });
    if (other_low.error < best.error) {
      low = other_low.index;
      best.error = other_low.error;
      moved = true;
    }
  }
  return range(low, high);
}

}  // namespace qconv
