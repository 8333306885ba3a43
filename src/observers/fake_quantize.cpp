#include <cmath>
#include <span>

#include <qconv/observers/fake_quantize.hpp>
#include <qconv/quantize.hpp>

#include "observers/state_entries.hpp"
#include "quantize/choose_qparams.hpp"

namespace qconv {
namespace {

constexpr std::string_view kInner = "activation_post_process.";

std::unique_ptr<Observer> made(const ObserverFactory& factory) {
  check(static_cast<bool>(factory), "FakeQuantize: the observer's factory is empty");
  std::unique_ptr<Observer> observer = factory();
  check(observer != nullptr, "FakeQuantize: the factory makes no observer");
  return observer;
}

std::unique_ptr<Observer> moving_average(const ObserverOptions& options) {
  if (is_per_channel(options.qscheme.value_or(QScheme::per_tensor_affine)))
    return std::make_unique<MovingAveragePerChannelMinMaxObserver>(options);
  return std::make_unique<MovingAverageMinMaxObserver>(options);
}

Tensor flag(bool value, DType dtype) {
  if (dtype == int64) return Tensor::from_data(std::vector<std::int64_t>{value ? 1 : 0}, {1});
  return Tensor::from_data(std::vector<std::uint8_t>{static_cast<std::uint8_t>(value ? 1 : 0)}, {1});
}

// Whatever integer a flag was saved as.
bool flag_entry(const StateDict& state, std::string_view name, std::string_view who) {
  const Tensor& entry = *state.find(name);
  check<TypeError>(!info(entry.dtype()).floating && !entry.is_quantized(),
                   "{}: {} in the state must be an integer, got {}", who, name, to_string(entry.dtype()));
  check(entry.numel() == 1, "{}: {} in the state must be one number", who, name);
  return entry.item() == 1;
}

std::vector<std::int64_t> integer_entry(const StateDict& state, std::string_view name, std::string_view who) {
  const Tensor& entry = *state.find(name);
  if (entry.dtype() == int64) return entry.to_vector<std::int64_t>();
  check<TypeError>(entry.dtype() == int32, "{}: {} in the state must be an integer, got {}", who, name,
                   to_string(entry.dtype()));
  const std::vector<std::int32_t> values = entry.to_vector<std::int32_t>();
  return {values.begin(), values.end()};
}

}  // namespace

FakeQuantize::FakeQuantize(std::string_view name, std::unique_ptr<Observer> observer)
    : Observer(name, observer->options(), observer->qscheme()), observer_(std::move(observer)) {}

FakeQuantize::FakeQuantize(const ObserverFactory& observer) : FakeQuantize("FakeQuantize", made(observer)) {}

FakeQuantize::FakeQuantize(const ObserverOptions& options)
    : FakeQuantize("FakeQuantize", moving_average(options)) {}

FakeQuantize::FakeQuantize(const FakeQuantize& other)
    : Observer(other),
      observer_(other.observer_->clone()),
      qparams_(other.qparams_),
      fake_quant_enabled_(other.fake_quant_enabled_),
      observer_enabled_(other.observer_enabled_) {}

std::unique_ptr<Observer> FakeQuantize::clone() const { return std::make_unique<FakeQuantize>(*this); }

void FakeQuantize::reset() {
  observer_->reset();
  qparams_ = {};
}

Tensor FakeQuantize::quantized(const Tensor& x) const {
  if (qparams_.is_per_channel())
    return fake_quantize_per_channel_affine(x, qparams_.scales, qparams_.zero_points, qparams_.axis,
                                            quant_min(), quant_max());
  return fake_quantize_per_tensor_affine(x, qparams_.scales[0], qparams_.zero_points[0], quant_min(),
                                         quant_max());
}

Tensor FakeQuantize::forward(const Tensor& x) {
  observe(x);
  return fake_quant_enabled_ ? quantized(x) : x;
}

void FakeQuantize::observe_values(const Tensor& x) {
  if (!observer_enabled_) return;
  observer_->observe(x);
  choose();
}

void FakeQuantize::merge_values(const Observer& other) {
  observer_->merge(*static_cast<const FakeQuantize&>(other).observer_);
  choose();
}

void FakeQuantize::save_values(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "fake_quant_enabled", flag(fake_quant_enabled_, flag_dtype()));
  state.set(prefix + "observer_enabled", flag(observer_enabled_, flag_dtype()));
  const Shape sizes{static_cast<std::int64_t>(qparams_.scales.size())};
  const std::vector<float> scales(qparams_.scales.begin(), qparams_.scales.end());
  const std::vector<std::int32_t> zero_points(qparams_.zero_points.begin(), qparams_.zero_points.end());
  state.set(prefix + "scale", Tensor::from_data(scales, sizes));
  state.set(prefix + "zero_point", Tensor::from_data(zero_points, sizes));
  for (const auto& [key, tensor] : observer_->state_dict(prefix + std::string(kInner)))
    state.set(key, tensor);
}

void FakeQuantize::load_values(const StateDict& state) {
  StateDict own;
  StateDict inner;
  for (const auto& [key, tensor] : state) (key.starts_with(kInner) ? inner : own).set(key, tensor);
  check_entries(own, {"fake_quant_enabled", "observer_enabled", "scale", "zero_point"}, name());
  const bool fake_quant = flag_entry(own, "fake_quant_enabled", name());
  const bool observing = flag_entry(own, "observer_enabled", name());
  const std::vector<float> scales = float_entry(own, "scale", name());
  QParams loaded{{scales.begin(), scales.end()}, integer_entry(own, "zero_point", name()), -1};
  check(loaded.scales.size() == loaded.zero_points.size() && !scales.empty(),
        "{}: got {} scales and {} zero points in the state", name(), loaded.scales.size(),
        loaded.zero_points.size());
  check(is_per_channel(qscheme()) || scales.size() == 1, "{}: got {} scales in the state, expected one",
        name(), scales.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    check(scales[i] > 0 && std::isfinite(scales[i]) && loaded.zero_points[i] >= quant_min() &&
              loaded.zero_points[i] <= quant_max(),
          "{}: scale {} and zero point {} in the state are no parameters of the range [{}, {}]", name(),
          scales[i], loaded.zero_points[i], quant_min(), quant_max());
  }
  std::unique_ptr<Observer> observer = observer_->clone();
  observer->load_state_dict(inner, kInner);
  // One scale of 1 is how a module that saw nothing was saved.
  if (is_per_channel(qscheme()) && (scales.size() > 1 || observer->calibrated())) loaded.axis = ch_axis();
  fake_quant_enabled_ = fake_quant;
  observer_enabled_ = observing;
  qparams_ = std::move(loaded);
  observer_ = std::move(observer);
}

std::string FakeQuantize::extra_repr() const {
  return fmt::format("fake_quant_enabled={}, observer_enabled={}, {}", fake_quant_enabled_ ? 1 : 0,
                     observer_enabled_ ? 1 : 0, observer_->to_string());
}

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(const ObserverOptions& options)
    : FakeQuantize("FusedMovingAvgObsFakeQuantize", moving_average(options)) {
  check(!is_per_channel(qscheme()) || ch_axis() == 0, "{}: ch_axis must be 0, got {}", name(), ch_axis());
}

std::unique_ptr<Observer> FusedMovingAvgObsFakeQuantize::clone() const {
  return std::make_unique<FusedMovingAvgObsFakeQuantize>(*this);
}

void FusedMovingAvgObsFakeQuantize::choose() {
  if (!fake_quant_enabled()) return;
  QParams chosen = calculate_qparams().qparams;  // refuses NaN and infinities
  const auto replace = [&](std::span<const float> min, std::span<const float> max) {
    for (std::size_t i = 0; i < min.size(); ++i) {
      const ChosenQParams p = choose_qparams(min[i], max[i], static_cast<std::int32_t>(quant_min()),
                                             static_cast<std::int32_t>(quant_max()), is_symmetric(qscheme()),
                                             false, ChooseRule::fbgemm);
      chosen.scales[i] = p.scale;
      chosen.zero_points[i] = p.zero_point;
    }
  };
  if (chosen.is_per_channel()) {
    const auto& observer = static_cast<const PerChannelMinMaxObserver&>(activation_post_process());
    replace(observer.min_val(), observer.max_val());
  } else {
    const auto& observer = static_cast<const MinMaxObserver&>(activation_post_process());
    const float min = observer.min_val();
    const float max = observer.max_val();
    replace({&min, 1}, {&max, 1});
  }
  set_qparams(std::move(chosen));
}

Tensor FusedMovingAvgObsFakeQuantize::forward(const Tensor& x) {
  observe(x);
  if (!fake_quant_enabled()) return x;
  // Chosen anew in every call: the range may have been loaded, or observed while this was disabled.
  if (calibrated()) choose();
  return quantized(x);
}

FixedQParamsFakeQuantize::FixedQParamsFakeQuantize(const FixedQParamsObserver& observer)
    : FakeQuantize("FixedQParamsFakeQuantize", observer.clone()) {
  set_qparams(calculate_qparams().qparams);
}

std::unique_ptr<Observer> FixedQParamsFakeQuantize::clone() const {
  return std::make_unique<FixedQParamsFakeQuantize>(*this);
}

}  // namespace qconv
