#include <qconv/observers/calibrators.hpp>

#include "observers/affine_range.hpp"
#include "observers/state_entries.hpp"
#include "observers/value_range.hpp"

namespace qconv {
namespace {

std::vector<std::int64_t> int64_values(const StateDict& state, std::string_view entry, std::string_view who) {
  const Tensor& tensor = *state.find(entry);
  check<TypeError>(tensor.dtype() == int64, "{}: {} in the state must be int64, got {}", who, entry,
                   to_string(tensor.dtype()));
  return tensor.to_vector<std::int64_t>();
}

std::int64_t int64_value(const StateDict& state, std::string_view entry, std::string_view who) {
  const std::vector<std::int64_t> values = int64_values(state, entry, who);
  check(values.size() == 1, "{}: {} in the state must be one number, got {}", who, entry, values.size());
  return values[0];
}

}  // namespace

Calibrator::Calibrator(std::string_view name, const ObserverOptions& options)
    : Observer(name, options, QScheme::per_tensor_affine), histogram_(options.bins, name) {}

void Calibrator::reset() { histogram_ = StreamingHistogram(options().bins); }

Calibrator::Range Calibrator::range() const { return calibrated() ? choose() : Range{0, 0}; }

ObservedQParams Calibrator::calculate_qparams() const {
  if (!calibrated()) return default_qparams(*this);
  const Range chosen = choose();
  return qparams_for_range(*this, {&chosen.min, 1}, {&chosen.max, 1});
}

void Calibrator::observe_values(const Tensor& x) { histogram_.add(x, name()); }

void Calibrator::merge_values(const Observer& other) {
  histogram_.merge(static_cast<const Calibrator&>(other).histogram_);
}

void Calibrator::save_values(StateDict& state, const std::string& prefix) const {
  save_eps(state, prefix);
  const auto positive = histogram_.positive();
  const auto negative = histogram_.negative();
  std::vector<std::int64_t> counts(positive.begin(), positive.end());
  counts.insert(counts.end(), negative.begin(), negative.end());
  state.set(prefix + "counts", Tensor::from_data(counts, {2, histogram_.bins()}));
  state.set(prefix + "zeros", Tensor::scalar(histogram_.zeros()));
  state.set(prefix + "exponent", Tensor::scalar(std::int64_t{histogram_.exponent()}));
  state.set(prefix + "min_val", Tensor::scalar(histogram_.min()));
  state.set(prefix + "max_val", Tensor::scalar(histogram_.max()));
}

void Calibrator::load_values(const StateDict& state) {
  check_entries(state, {"counts", "zeros", "exponent", "min_val", "max_val"}, name());
  const Shape sizes{2, histogram_.bins()};
  check(state.find("counts")->sizes() == sizes, "{}: counts in the state must have sizes {}, got {}", name(),
        sizes, state.find("counts")->sizes());
  const std::int64_t exponent = int64_value(state, "exponent", name());
  check(exponent == static_cast<std::int16_t>(exponent), "{}: exponent in the state is {}", name(), exponent);
  histogram_ = StreamingHistogram::restore(int64_values(state, "counts", name()),
                                           int64_value(state, "zeros", name()), static_cast<int>(exponent),
                                           scalar_entry(state, "min_val", ValueRange{}.min, name()),
                                           scalar_entry(state, "max_val", ValueRange{}.max, name()), name());
}

std::string Calibrator::extra_repr() const {
  return fmt::format("bins={}, min_val={}, max_val={}", histogram_.bins(), histogram_.min(),
                     histogram_.max());
}

}  // namespace qconv
