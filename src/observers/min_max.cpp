#include <qconv/observers/min_max.hpp>

#include "observers/affine_range.hpp"
#include "observers/moving_average.hpp"
#include "observers/state_entries.hpp"
#include "observers/value_range.hpp"

namespace qconv {
namespace {

constexpr ValueRange kNothing;

}  // namespace

MinMaxObserver::MinMaxObserver(std::string_view name, const ObserverOptions& options)
    : Observer(name, options, QScheme::per_tensor_affine), min_(kNothing.min), max_(kNothing.max) {}

MinMaxObserver::MinMaxObserver(const ObserverOptions& options) : MinMaxObserver("MinMaxObserver", options) {}

void MinMaxObserver::set_range(float min, float max) noexcept {
  min_ = min;
  max_ = max;
}

bool MinMaxObserver::calibrated() const noexcept { return min_ != kNothing.min || max_ != kNothing.max; }

void MinMaxObserver::reset() { set_range(kNothing.min, kNothing.max); }

std::unique_ptr<Observer> MinMaxObserver::clone() const { return std::make_unique<MinMaxObserver>(*this); }

void MinMaxObserver::observe_values(const Tensor& x) {
  const ValueRange all = join({min_, max_}, value_range(x));
  set_range(all.min, all.max);
}

void MinMaxObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const MinMaxObserver&>(other);
  const ValueRange all = join({min_, max_}, {o.min_, o.max_});
  set_range(all.min, all.max);
}

ObservedQParams MinMaxObserver::calculate_qparams() const {
  if (!calibrated()) return default_qparams(*this);
  return qparams_for_range(*this, {&min_, 1}, {&max_, 1});
}

void MinMaxObserver::save_values(StateDict& state, const std::string& prefix) const {
  save_eps(state, prefix);
  state.set(prefix + "min_val", Tensor::scalar(min_));
  state.set(prefix + "max_val", Tensor::scalar(max_));
}

void MinMaxObserver::load_values(const StateDict& state) {
  check_entries(state, {"min_val", "max_val"}, name());
  const float min = scalar_entry(state, "min_val", kNothing.min, name());
  const float max = scalar_entry(state, "max_val", kNothing.max, name());
  set_range(min, max);
}

std::string MinMaxObserver::extra_repr() const { return fmt::format("min_val={}, max_val={}", min_, max_); }

MovingAverageMinMaxObserver::MovingAverageMinMaxObserver(const ObserverOptions& options)
    : MinMaxObserver("MovingAverageMinMaxObserver", options) {}

void MovingAverageMinMaxObserver::reset() {
  MinMaxObserver::reset();
  batches_ = 0;
}

std::unique_ptr<Observer> MovingAverageMinMaxObserver::clone() const {
  return std::make_unique<MovingAverageMinMaxObserver>(*this);
}

void MovingAverageMinMaxObserver::observe_values(const Tensor& x) {
  const ValueRange batch = value_range(x);
  if (calibrated()) {
    const double constant = options().averaging_constant;
    set_range(moved(min_val(), batch.min, constant), moved(max_val(), batch.max, constant));
  } else {
    set_range(batch.min, batch.max);
  }
  ++batches_;
}

void MovingAverageMinMaxObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const MovingAverageMinMaxObserver&>(other);
  if (calibrated()) {
    set_range(weighted_mean(min_val(), batches_, o.min_val(), o.batches_),
              weighted_mean(max_val(), batches_, o.max_val(), o.batches_));
  } else {
    set_range(o.min_val(), o.max_val());
  }
  batches_ += o.batches_;
}

void MovingAverageMinMaxObserver::load_values(const StateDict& state) {
  MinMaxObserver::load_values(state);
  batches_ = calibrated() ? 1 : 0;
}

}  // namespace qconv
