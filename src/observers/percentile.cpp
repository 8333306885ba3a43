#include <algorithm>

#include <qconv/observers/calibrators.hpp>

#include "observers/bin_line.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// The number below which `wanted` values lie, those of a bin taken as spread evenly in it.
double value_above(const StreamingHistogram& h, const BinLine& line, double wanted) {
  double below = 0;
  for (int k = -line.below(); k <= line.above(); ++k) {
    // The zeros lie between the last bin below 0 and the first above.
    if (k == 0) {
      below += static_cast<double>(h.zeros());
      if (below >= wanted && h.zeros() > 0) return 0;
    }
    const auto count = static_cast<double>(line.count(k));
    if (count > 0 && below + count >= wanted) return (k + (wanted - below) / count) * h.bin_width();
    below += count;
  }
  return line.above() * h.bin_width();
}

// The same for magnitudes.
double magnitude_above(const StreamingHistogram& h, double wanted) {
  auto below = static_cast<double>(h.zeros());
  if (below >= wanted) return 0;
  for (std::size_t i = 0; i < h.positive().size(); ++i) {
    const auto count = static_cast<double>(h.positive()[i] + h.negative()[i]);
    if (count > 0 && below + count >= wanted) {
      return (static_cast<double>(i) + (wanted - below) / count) * h.bin_width();
    }
    below += count;
  }
  return h.bins() * h.bin_width();
}

}  // namespace

PercentileObserver::PercentileObserver(const ObserverOptions& options)
    : Calibrator("PercentileObserver", options) {}

std::unique_ptr<Observer> PercentileObserver::clone() const {
  return std::make_unique<PercentileObserver>(*this);
}

Calibrator::Range PercentileObserver::choose() const {
  const StreamingHistogram& h = histogram();
  const Range all{std::min(h.min(), 0.0F), std::max(h.max(), 0.0F)};
  const auto total = static_cast<double>(h.total());
  const double outside = total * ((100 - options().percentile) / 100);
  double min = 0;
  double max = 0;
  if (is_symmetric(qscheme())) {
    max = magnitude_above(h, total - outside);
    min = -max;
  } else {
    const BinLine line(h);
    const double end = all.min < 0 && all.max > 0 ? outside / 2 : outside;
    if (all.min < 0) min = value_above(h, line, end);
    if (all.max > 0) max = value_above(h, line, total - end);
  }
  const Range range{std::clamp(static_cast<float>(min), all.min, 0.0F),
                    std::clamp(static_cast<float>(max), 0.0F, all.max)};
  return range.min < range.max ? range : all;
}

std::string PercentileObserver::extra_repr() const {
  return fmt::format("percentile={}, {}", options().percentile, Calibrator::extra_repr());
}

}  // namespace qconv
