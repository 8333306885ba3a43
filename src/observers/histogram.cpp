#include <algorithm>
#include <cmath>
#include <functional>

#include <qconv/observers/histogram.hpp>

#include "observers/affine_range.hpp"
#include "observers/histogram_bins.hpp"
#include "observers/histogram_search.hpp"
#include "observers/state_entries.hpp"
#include "observers/value_range.hpp"

namespace qconv {
namespace {

constexpr int kMaxBins = 1 << 20;
constexpr ValueRange kNothingSeen;

void add(std::vector<float>& to, std::span<const float> from) {
  std::transform(to.begin(), to.end(), from.begin(), to.begin(), std::plus<>());
}

float total(std::span<const float> counts) {
  double sum = 0;
  for (const float c : counts) sum += static_cast<double>(c);
  return static_cast<float>(sum);
}

// The histogram over the wider range `to`; all of it in one bin when it holds `single_count` times one value.
std::vector<float> moved_to(std::span<const float> counts, BinRange from, BinRange to, float single_count) {
  if (from == to) return {counts.begin(), counts.end()};
  if (from.min != from.max) return respread(counts, from, to);
  std::vector<float> result(counts.size());
  result[static_cast<std::size_t>(bin_of(from.min, to, static_cast<std::int64_t>(counts.size())))] =
      single_count;
  return result;
}

struct Finite {
  ValueRange range;
  std::int64_t count = 0;
};

// Infinities are left out, as in PyTorch.
Finite finite_part(const Tensor& x) {
  Finite finite;
  for_each_stretch(x, [&](const float* p, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      if (std::isinf(p[i])) continue;
      finite.range = join(finite.range, {p[i], p[i]});
      ++finite.count;
    }
  });
  return finite;
}

}  // namespace

HistogramObserver::HistogramObserver(const ObserverOptions& o)
    : Observer("HistogramObserver", o, QScheme::per_tensor_affine),
      min_(kNothingSeen.min),
      max_(kNothingSeen.max) {
  check(o.bins >= 1 && o.bins <= kMaxBins, "HistogramObserver: bins must be 1 to {}, got {}", kMaxBins,
        o.bins);
  counts_.resize(static_cast<std::size_t>(o.bins));
}

bool HistogramObserver::calibrated() const noexcept {
  return min_ != kNothingSeen.min || max_ != kNothingSeen.max;
}

void HistogramObserver::reset() {
  std::fill(counts_.begin(), counts_.end(), 0.0F);
  min_ = kNothingSeen.min;
  max_ = kNothingSeen.max;
}

std::unique_ptr<Observer> HistogramObserver::clone() const {
  return std::make_unique<HistogramObserver>(*this);
}

void HistogramObserver::observe_values(const Tensor& x) {
  Finite seen{value_range(x), x.numel()};
  check(seen.range.min == seen.range.min, "{}: the tensor of sizes {} holds NaN", name(),
        x.sizes().to_string());
  if (std::isinf(seen.range.min) || std::isinf(seen.range.max)) seen = finite_part(x);
  if (seen.count == 0) return;
  const BinRange before{min_, max_};
  const BinRange now{std::min(min_, seen.range.min), std::max(max_, seen.range.max)};
  std::vector<float> counts = count_bins(x, now, bins());
  // PyTorch counts a single old value as often as the new batch has values; the bits of its scales depend on
  // it.
  if (calibrated()) add(counts, moved_to(counts_, before, now, static_cast<float>(seen.count)));
  counts_ = std::move(counts);
  min_ = now.min;
  max_ = now.max;
}

void HistogramObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const HistogramObserver&>(other);
  const BinRange theirs{o.min_, o.max_};
  if (!calibrated()) {
    counts_ = o.counts_;
    min_ = o.min_;
    max_ = o.max_;
    return;
  }
  const BinRange mine{min_, max_};
  const BinRange both{std::min(min_, o.min_), std::max(max_, o.max_)};
  counts_ = moved_to(counts_, mine, both, total(counts_));
  add(counts_, moved_to(o.counts_, theirs, both, total(o.counts_)));
  min_ = both.min;
  max_ = both.max;
}

ObservedQParams HistogramObserver::calculate_qparams() const {
  if (!calibrated()) return default_qparams(*this);
  const double levels = dtype() == qint32 ? 0x1p32 : 256.0;
  const BinRange range = search_range(counts_, {min_, max_}, levels);
  return qparams_for_range(*this, {&range.min, 1}, {&range.max, 1});
}

void HistogramObserver::save_values(StateDict& state, const std::string& prefix) const {
  save_eps(state, prefix);
  state.set(prefix + "histogram", Tensor::from_data(counts_, {static_cast<std::int64_t>(counts_.size())}));
  state.set(prefix + "min_val", Tensor::scalar(min_));
  state.set(prefix + "max_val", Tensor::scalar(max_));
}

void HistogramObserver::load_values(const StateDict& state) {
  check_entries(state, {"histogram", "min_val", "max_val"}, name());
  const Tensor& histogram = *state.find("histogram");
  check(histogram.sizes() == Shape{bins()}, "{}: histogram in the state must have sizes ({},), got {}",
        name(), bins(), histogram.sizes().to_string());
  std::vector<float> counts = float_entry(state, "histogram", name());
  check(std::all_of(counts.begin(), counts.end(), [](float c) { return c >= 0 && std::isfinite(c); }),
        "{}: histogram in the state has a negative or infinite count", name());
  const float min = scalar_entry(state, "min_val", kNothingSeen.min, name());
  const float max = scalar_entry(state, "max_val", kNothingSeen.max, name());
  const bool nothing = min == kNothingSeen.min && max == kNothingSeen.max;
  check(nothing || (min <= max && std::isfinite(min) && std::isfinite(max)),
        "{}: the range [{}, {}] in the state is not finite and rising", name(), min, max);
  counts_ = std::move(counts);
  min_ = min;
  max_ = max;
}

std::string HistogramObserver::extra_repr() const {
  return fmt::format("bins={}, min_val={}, max_val={}", bins(), min_, max_);
}

}  // namespace qconv
