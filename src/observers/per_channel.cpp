#include <algorithm>

#include <qconv/observers/min_max.hpp>

#include "observers/affine_range.hpp"
#include "observers/moving_average.hpp"
#include "observers/state_entries.hpp"
#include "observers/value_range.hpp"

namespace qconv {
namespace {

struct Ranges {
  std::vector<float> min;
  std::vector<float> max;
};

Ranges observed_ranges(const Tensor& x, int axis, std::string_view who) {
  check(axis < x.dim(), "{}: ch_axis {} is out of range for a tensor of sizes {}", who, axis,
        x.sizes().to_string());
  Ranges ranges;
  for (const ValueRange& r : channel_ranges(x, axis)) {
    ranges.min.push_back(r.min);
    ranges.max.push_back(r.max);
  }
  return ranges;
}

// combine(mine[i], theirs[i]) for every channel.
template <class Combine>
std::vector<float> combined(std::span<const float> mine, std::span<const float> theirs,
                            const Combine& combine) {
  std::vector<float> result(mine.size());
  std::transform(mine.begin(), mine.end(), theirs.begin(), result.begin(), combine);
  return result;
}

}  // namespace

PerChannelMinMaxObserver::PerChannelMinMaxObserver(std::string_view name, const ObserverOptions& options)
    : Observer(name, options, QScheme::per_channel_affine) {}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const ObserverOptions& options)
    : PerChannelMinMaxObserver("PerChannelMinMaxObserver", options) {}

void PerChannelMinMaxObserver::set_range(std::vector<float> min, std::vector<float> max) noexcept {
  min_ = std::move(min);
  max_ = std::move(max);
}

void PerChannelMinMaxObserver::check_channels(std::size_t count) const {
  check(!calibrated() || count == min_.size(), "{}: expected {} channels in dimension {} as before, got {}",
        name(), min_.size(), ch_axis(), count);
}

void PerChannelMinMaxObserver::reset() { set_range({}, {}); }

std::unique_ptr<Observer> PerChannelMinMaxObserver::clone() const {
  return std::make_unique<PerChannelMinMaxObserver>(*this);
}

void PerChannelMinMaxObserver::observe_values(const Tensor& x) {
  Ranges batch = observed_ranges(x, ch_axis(), name());
  check_channels(batch.min.size());
  if (calibrated()) {
    batch = {combined(min_, batch.min, nan_min), combined(max_, batch.max, nan_max)};
  }
  set_range(std::move(batch.min), std::move(batch.max));
}

void PerChannelMinMaxObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const PerChannelMinMaxObserver&>(other);
  check_channels(o.min_.size());
  if (calibrated()) {
    set_range(combined(min_, o.min_, nan_min), combined(max_, o.max_, nan_max));
  } else {
    set_range(o.min_, o.max_);
  }
}

ObservedQParams PerChannelMinMaxObserver::calculate_qparams() const {
  if (!calibrated()) return default_qparams(*this);
  return qparams_for_range(*this, min_, max_);
}

void PerChannelMinMaxObserver::save_values(StateDict& state, const std::string& prefix) const {
  save_eps(state, prefix);
  const Shape sizes{static_cast<std::int64_t>(min_.size())};
  state.set(prefix + "min_val", Tensor::from_data(min_, sizes));
  state.set(prefix + "max_val", Tensor::from_data(max_, sizes));
}

void PerChannelMinMaxObserver::load_values(const StateDict& state) {
  check_entries(state, {"min_val", "max_val"}, name());
  std::vector<float> min = float_entry(state, "min_val", name());
  std::vector<float> max = float_entry(state, "max_val", name());
  check(min.size() == max.size(), "{}: min_val has {} channels in the state, max_val {}", name(), min.size(),
        max.size());
  set_range(std::move(min), std::move(max));
}

std::string PerChannelMinMaxObserver::extra_repr() const {
  return fmt::format("ch_axis={}, channels={}", ch_axis(), min_.size());
}

MovingAveragePerChannelMinMaxObserver::MovingAveragePerChannelMinMaxObserver(const ObserverOptions& options)
    : PerChannelMinMaxObserver("MovingAveragePerChannelMinMaxObserver", options) {}

void MovingAveragePerChannelMinMaxObserver::reset() {
  PerChannelMinMaxObserver::reset();
  batches_ = 0;
}

std::unique_ptr<Observer> MovingAveragePerChannelMinMaxObserver::clone() const {
  return std::make_unique<MovingAveragePerChannelMinMaxObserver>(*this);
}

void MovingAveragePerChannelMinMaxObserver::observe_values(const Tensor& x) {
  Ranges batch = observed_ranges(x, ch_axis(), name());
  check_channels(batch.min.size());
  if (calibrated()) {
    const auto move = [c = options().averaging_constant](float average, float value) {
      return moved(average, value, c);
    };
    batch = {combined(min_val(), batch.min, move), combined(max_val(), batch.max, move)};
  }
  set_range(std::move(batch.min), std::move(batch.max));
  ++batches_;
}

void MovingAveragePerChannelMinMaxObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const MovingAveragePerChannelMinMaxObserver&>(other);
  check_channels(o.min_val().size());
  if (calibrated()) {
    const auto mean = [&](float mine, float theirs) {
      return weighted_mean(mine, batches_, theirs, o.batches_);
    };
    set_range(combined(min_val(), o.min_val(), mean), combined(max_val(), o.max_val(), mean));
    batches_ += o.batches_;
  } else {
    *this = o;
  }
}

void MovingAveragePerChannelMinMaxObserver::load_values(const StateDict& state) {
  PerChannelMinMaxObserver::load_values(state);
  batches_ = calibrated() ? 1 : 0;
}

}  // namespace qconv
