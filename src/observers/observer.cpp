#include <cmath>
#include <typeinfo>

#include <qconv/observers/observer.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

struct IntegerRange {
  std::int64_t min;
  std::int64_t max;
};

std::int64_t floor_half(std::int64_t v) { return v >> 1; }

IntegerRange integer_range(std::string_view name, const ObserverOptions& o) {
  const DTypeInfo& type = info(o.dtype);
  check(o.quant_min.has_value() == o.quant_max.has_value(),
        "{}: quant_min and quant_max go together; only {} was given", name,
        o.quant_min ? "quant_min" : "quant_max");
  if (!o.quant_min) {
    if (o.reduce_range && o.dtype != qint32) return {floor_half(type.quant_min), floor_half(type.quant_max)};
    return {type.quant_min, type.quant_max};
  }
  const IntegerRange range{*o.quant_min, *o.quant_max};
  check(range.min < range.max && range.min <= 0 && range.max >= 0,
        "{}: the range [{}, {}] must hold 0 and more than one number", name, range.min, range.max);
  check(range.min >= type.quant_min && range.max <= type.quant_max,
        "{}: the range [{}, {}] is not inside {}'s, [{}, {}]", name, range.min, range.max, type.name,
        type.quant_min, type.quant_max);
  if (!o.reduce_range) return range;
  const IntegerRange half{floor_half(range.min), floor_half(range.max)};
  check(half.min < half.max, "{}: reduce_range leaves one number of the range [{}, {}]", name, range.min,
        range.max);
  return half;
}

// The entry that PyTorch called by another name before its version 3.
std::string_view newest_name(std::string_view key) {
  if (key == "min_vals") return "min_val";
  if (key == "max_vals") return "max_val";
  return key;
}

void check_loaded_eps(const Tensor& eps, std::string_view name) {
  check<TypeError>(eps.defined() && eps.dtype() == float32, "{}: eps must be a float32 tensor", name);
  check(eps.numel() == 1 && eps.item() > 0 && std::isfinite(eps.item()),
        "{}: eps must be one positive number", name);
}

}  // namespace

Observer::~Observer() = default;

Observer::Observer(std::string_view name, const ObserverOptions& options, QScheme default_scheme)
    : name_(name), options_(options) {
  if (!options_.qscheme) options_.qscheme = default_scheme;
  check<TypeError>(is_per_channel(*options_.qscheme) == is_per_channel(default_scheme),
                   "{}: qscheme {} is not {}", name, qconv::to_string(*options_.qscheme),
                   is_per_channel(default_scheme) ? "per channel" : "per tensor");
  const auto eps = static_cast<float>(options_.eps);
  check(eps > 0 && std::isfinite(eps), "{}: eps must be a positive float, got {}", name, options_.eps);
  check(options_.ch_axis >= 0 && options_.ch_axis < kMaxRank, "{}: ch_axis must be 0 to {}, got {}", name,
        kMaxRank - 1, options_.ch_axis);
  check(options_.averaging_constant > 0 && options_.averaging_constant <= 1,
        "{}: averaging_constant must be in (0, 1], got {}", name, options_.averaging_constant);
  check(options_.percentile > 0 && options_.percentile <= 100, "{}: percentile must be in (0, 100], got {}",
        name, options_.percentile);
  if (options_.dtype == float32 && name == "PlaceholderObserver") {
    quant_min_ = 0;
    quant_max_ = 0;
    return;
  }
  check<TypeError>(is_quantized(options_.dtype), "{}: dtype must be quint8, qint8 or qint32, got {}", name,
                   qconv::to_string(options_.dtype));
  check(!(is_symmetric(*options_.qscheme) && options_.reduce_range && options_.dtype == quint8),
        "{}: reduce_range of a symmetric quint8 would leave the zero point 128 outside the range", name);
  const IntegerRange range = integer_range(name, options_);
  quant_min_ = range.min;
  quant_max_ = range.max;
}

void Observer::observe(const Tensor& x) {
  check(x.defined(), "{}: the tensor to observe is undefined", name_);
  check<TypeError>(x.dtype() == float32, "{}: expected a float32 tensor, got {}", name_,
                   qconv::to_string(x.dtype()));
  if (x.numel() > 0) observe_values(x);
}

void Observer::merge(const Observer& other) {
  check<TypeError>(typeid(*this) == typeid(other), "{}: cannot merge with a {}", name_, other.name());
  check<TypeError>(options_ == other.options_, "{}: cannot merge observers with different options", name_);
  if (!other.calibrated()) return;
  if (&other == this) {
    merge_values(*other.clone());
  } else {
    merge_values(other);
  }
}

void Observer::merge_state(const StateDict& state, std::string_view prefix) {
  const std::unique_ptr<Observer> other = clone();
  other->reset();
  other->load_state_dict(state, prefix);
  // A state holds eps as a float.
  check(static_cast<float>(other->eps()) == static_cast<float>(eps()), "{}: eps is {} in the state, here {}",
        name_, other->eps(), eps());
  other->options_.eps = options_.eps;
  merge(*other);
}

StateDict Observer::state_dict(std::string_view prefix) const {
  StateDict state;
  save_values(state, std::string(prefix));
  return state;
}

void Observer::save_eps(StateDict& state, const std::string& prefix) const {
  state.set(prefix + "eps", Tensor::from_data(std::vector<float>{static_cast<float>(options_.eps)}, {1}));
}

void Observer::load_state_dict(const StateDict& state, std::string_view prefix) {
  StateDict values;
  std::optional<double> eps;
  for (const auto& [key, tensor] : state) {
    if (!std::string_view(key).starts_with(prefix)) continue;
    const std::string_view entry = newest_name(std::string_view(key).substr(prefix.size()));
    if (entry == "eps") {
      check_loaded_eps(tensor, name_);
      eps = tensor.item();
    } else {
      check(values.find(entry) == nullptr, "{}: the state has {} twice", name_, entry);
      values.set(entry, tensor);
    }
  }
  load_values(values);
  if (eps) options_.eps = *eps;
}

std::string Observer::to_string() const {
  std::string text = fmt::format("{}(dtype={}", name_, qconv::to_string(options_.dtype));
  if (is_quantized(options_.dtype)) text += fmt::format(", qscheme={}", qconv::to_string(*options_.qscheme));
  const std::string extra = extra_repr();
  return text + (extra.empty() ? "" : ", ") + extra + ")";
}

}  // namespace qconv
