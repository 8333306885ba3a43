#include <algorithm>
#include <cmath>
#include <limits>

#include <qconv/observers/calibrators.hpp>

#include "observers/bin_line.hpp"

namespace qconv {
namespace {

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

// Sums over all bins before bin k, for every k: what a level costs then takes two subtractions.
class Sums {
 public:
  explicit Sums(const BinLine& line) : line_(line) {
    Entry sum;
    entries_.push_back(sum);
    for (const std::int64_t c : line.counts()) {
      const auto count = static_cast<double>(c);
      sum.count += count;
      sum.used += c > 0 ? 1 : 0;
      sum.x_log_x += x_log_x(count);
      entries_.push_back(sum);
    }
  }
  double count(int begin, int end) const { return at(end).count - at(begin).count; }
  double used(int begin, int end) const { return at(end).used - at(begin).used; }
  double x_log_x_sum(int begin, int end) const { return at(end).x_log_x - at(begin).x_log_x; }

 private:
  struct Entry {
    double count = 0;
    double used = 0;
    double x_log_x = 0;
  };
  const Entry& at(int k) const {
    return entries_[static_cast<std::size_t>(std::clamp(k, -line_.below(), line_.above()) + line_.below())];
  }

  const BinLine& line_;
  std::vector<Entry> entries_;
};

// How far the bins [begin, end), cut into `levels` levels, are from all bins, those outside counted in the
// first and the last: the divergence of docs/numerics.md. Infinite where a level is empty but for what came
// from outside.
class Divergence {
 public:
  Divergence(const BinLine& line, std::int64_t levels)
      : line_(line), sums_(line), levels_(levels), total_(sums_.count(-line.below(), line.above())) {}

  double operator()(int begin, int end) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double inside = sums_.count(begin, end);
    if (inside == 0) return kInfinity;
    const Edge first(line_.count(begin), sums_.count(-line_.below(), begin));
    const Edge last(line_.count(end - 1), sums_.count(end, line_.above()));
    double sum = sums_.x_log_x_sum(begin, end) + first.x_log_x + last.x_log_x;
    const std::int64_t size = end - begin;
    for (std::int64_t level = 0; level < levels_; ++level) {
      const int from = begin + static_cast<int>((level * size + levels_ - 1) / levels_);
      const int to = begin + static_cast<int>(((level + 1) * size + levels_ - 1) / levels_);
      const double count = sums_.count(from, to);
      double used = sums_.used(from, to);
      double with_outside = count;
      if (level == 0) {
        used += first.used;
        with_outside += first.outside;
      }
      if (level == levels_ - 1) {
        used += last.used;
        with_outside += last.outside;
      }
      if (with_outside == 0) continue;
      if (count == 0) return kInfinity;
      sum -= with_outside * std::log(count / used);
    }
    return sum / total_ + std::log(inside / total_);
  }

 private:
  // What the values outside change in a bin at the end: its share of the sums.
  struct Edge {
    Edge(std::int64_t count, double from_outside)
        : outside(from_outside),
          used(count == 0 && from_outside > 0 ? 1 : 0),
          x_log_x(qconv::x_log_x(static_cast<double>(count) + from_outside) -
                  qconv::x_log_x(static_cast<double>(count))) {}
    double outside;
    double used;
    double x_log_x;
  };

  const BinLine& line_;
  Sums sums_;
  std::int64_t levels_;
  double total_;
};

}  // namespace

EntropyObserver::EntropyObserver(const ObserverOptions& options) : Calibrator("EntropyObserver", options) {}

std::unique_ptr<Observer> EntropyObserver::clone() const { return std::make_unique<EntropyObserver>(*this); }

Calibrator::Range EntropyObserver::choose() const {
  const StreamingHistogram& h = histogram();
  const BinLine line(h);
  const std::int64_t levels = quant_max() - quant_min() + 1;
  const bool symmetric = is_symmetric(qscheme());
  const Divergence divergence(line, levels);
  const int widest = std::max(line.below(), line.above());
  int best = widest;
  double least = std::numeric_limits<double>::infinity();
  for (int t = widest; t > 0; --t) {
    const int begin = symmetric ? -t : -std::min(t, line.below());
    const int end = symmetric ? t : std::min(t, line.above());
    if (end - begin < levels) break;
    const double d = divergence(begin, end);
    if (d < least) {
      least = d;
      best = t;
    }
  }
  const auto threshold = static_cast<float>(best * h.bin_width());
  return {std::clamp(-threshold, std::min(h.min(), 0.0F), 0.0F),
          std::clamp(threshold, 0.0F, std::max(h.max(), 0.0F))};
}

}  // namespace qconv
