#include <cmath>

#include <qconv/observers/placeholder.hpp>

#include "observers/state_entries.hpp"

namespace qconv {

PlaceholderObserver::PlaceholderObserver(const ObserverOptions& options)
    : Observer("PlaceholderObserver", options, QScheme::per_tensor_affine) {}

std::unique_ptr<Observer> PlaceholderObserver::clone() const {
  return std::make_unique<PlaceholderObserver>(*this);
}

ObservedQParams PlaceholderObserver::calculate_qparams() const {
  throw TypeError("PlaceholderObserver: it observes nothing, so it has no quantization parameters");
}

void PlaceholderObserver::load_values(const StateDict& state) { check_entries(state, {}, name()); }

std::string PlaceholderObserver::extra_repr() const {
  return fmt::format("is_dynamic={}", is_dynamic() ? "True" : "False");
}

FixedQParamsObserver::FixedQParamsObserver(double scale, std::int64_t zero_point,
                                           const ObserverOptions& options)
    : Observer("FixedQParamsObserver", options, QScheme::per_tensor_affine),
      scale_(static_cast<float>(scale)),
      zero_point_(zero_point) {
  check(scale_ > 0 && std::isfinite(scale_),
        "FixedQParamsObserver: the scale must be a positive float, got {}", scale);
  check(zero_point >= quant_min() && zero_point <= quant_max(),
        "FixedQParamsObserver: the zero point {} is not in [{}, {}]", zero_point, quant_min(), quant_max());
}

std::unique_ptr<Observer> FixedQParamsObserver::clone() const {
  return std::make_unique<FixedQParamsObserver>(*this);
}

ObservedQParams FixedQParamsObserver::calculate_qparams() const {
  return {QParams::per_tensor(static_cast<double>(scale_), zero_point_), qscheme(), dtype()};
}

void FixedQParamsObserver::merge_values(const Observer& other) {
  const auto& o = static_cast<const FixedQParamsObserver&>(other);
  check(scale_ == o.scale_ && zero_point_ == o.zero_point_,
        "FixedQParamsObserver: cannot merge scale {}, zero point {} with {}, {}", scale_, zero_point_,
        o.scale_, o.zero_point_);
}

void FixedQParamsObserver::save_values(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "scale", Tensor::from_data(std::vector<float>{scale_}, {1}));
  state.set(prefix + "zero_point",
            Tensor::from_data(std::vector<std::int32_t>{static_cast<std::int32_t>(zero_point_)}, {1}));
}

void FixedQParamsObserver::load_values(const StateDict& state) {
  check_entries(state, {"scale", "zero_point"}, name());
  const Tensor& zero_point = *state.find("zero_point");
  check<TypeError>(zero_point.dtype() == int32 || zero_point.dtype() == int64,
                   "{}: zero_point in the state must be an integer, got {}", name(),
                   qconv::to_string(zero_point.dtype()));
  check(zero_point.numel() == 1, "{}: zero_point in the state must be one number", name());
  const FixedQParamsObserver loaded(static_cast<double>(scalar_entry(state, "scale", 0, name())),
                                    static_cast<std::int64_t>(zero_point.item()), options());
  scale_ = loaded.scale_;
  zero_point_ = loaded.zero_point_;
}

std::string FixedQParamsObserver::extra_repr() const {
  return fmt::format("scale={}, zero_point={}", scale_, zero_point_);
}

ObserverFactory default_fixed_qparams_range_0to1_observer() {
  return with_args<FixedQParamsObserver>(1.0 / 256, 0);
}

ObserverFactory default_fixed_qparams_range_neg1to1_observer() {
  return with_args<FixedQParamsObserver>(2.0 / 256, 128);
}

}  // namespace qconv
