#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <qconv/observers.hpp>

namespace qconv {
namespace {

Tensor floats(const std::vector<float>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

// Between 1 and 300 values of one magnitude, some of them equal.
std::vector<float> any_values() {
  const auto scale = std::pow(10.0F, static_cast<float>(*rc::gen::inRange(-4, 5)));
  const auto integers = *rc::gen::resize(
      300, rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-1000, 1001))));
  std::vector<float> values;
  for (const int i : integers) values.push_back(static_cast<float>(i) * scale);
  return values;
}

ObserverOptions any_options() {
  ObserverOptions o;
  o.dtype = *rc::gen::element(quint8, qint8);
  o.reduce_range = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>() && !(o.dtype == quint8 && o.reduce_range))
    o.qscheme = QScheme::per_tensor_symmetric;
  if (*rc::gen::arbitrary<bool>()) {
    o.quant_max = *rc::gen::inRange(2, 128);
    // A symmetric qint8 takes its zero point to be 0, so its range should be symmetric too.
    o.quant_min = o.dtype == quint8 ? 0 : o.qscheme ? -*o.quant_max : *rc::gen::inRange(-128, -1);
  }
  return o;
}

RC_GTEST_PROP(MinMaxObserver, TwoHalvesMergeToTheWhole, ()) {
  const std::vector<float> a = any_values();
  const std::vector<float> b = any_values();
  MinMaxObserver first;
  MinMaxObserver second;
  MinMaxObserver whole;
  first.observe(floats(a));
  second.observe(floats(b));
  whole.observe(floats(a));
  whole.observe(floats(b));
  first.merge(second);
  RC_ASSERT(first.min_val() == whole.min_val());
  RC_ASSERT(first.max_val() == whole.max_val());
}

RC_GTEST_PROP(MinMaxObserver, ParametersCoverZeroAndTheRange, ()) {
  const ObserverOptions options = any_options();
  const std::vector<float> x = any_values();
  MinMaxObserver observer(options);
  observer.observe(floats(x));
  const QParams found = observer.calculate_qparams().qparams;
  const double scale = found.scales[0];
  const auto zero_point = static_cast<double>(found.zero_points[0]);
  RC_ASSERT(scale >= options.eps);
  RC_ASSERT(found.zero_points[0] >= observer.quant_min());
  RC_ASSERT(found.zero_points[0] <= observer.quant_max());
  // An affine zero point is rounded by half a step; a symmetric range leaves out at most one integer, or
  // where its middle is rounded down, one and a half.
  const double slack = is_symmetric(observer.qscheme()) ? 1.5 : 0.5;
  const double ulps = 1e-4;
  for (const float v : x) {
    const double q = static_cast<double>(v) / scale + zero_point;
    RC_ASSERT(q >= static_cast<double>(observer.quant_min()) - slack - ulps);
    RC_ASSERT(q <= static_cast<double>(observer.quant_max()) + slack + ulps);
  }
}

RC_GTEST_PROP(PerChannelMinMaxObserver, TwoHalvesMergeToTheWhole, ()) {
  const std::int64_t channels = *rc::gen::inRange(1, 6);
  const auto batch = [&] {
    std::vector<float> values = any_values();
    values.resize(static_cast<std::size_t>(channels) * 7, 0.5F);
    return Tensor::from_data(values, {channels, 7});
  };
  const Tensor a = batch();
  const Tensor b = batch();
  PerChannelMinMaxObserver first;
  PerChannelMinMaxObserver second;
  PerChannelMinMaxObserver whole;
  first.observe(a);
  second.observe(b);
  whole.observe(a);
  whole.observe(b);
  first.merge(second);
  RC_ASSERT(first.calculate_qparams().qparams == whole.calculate_qparams().qparams);
}

// What HistogramObserver promises of a merge, when each observer saw one batch: the mass below any edge lies
// between the true numbers of values two bin widths to the left and to the right of it.
RC_GTEST_PROP(HistogramObserver, MergeMovesValuesByAtMostTwoBins, ()) {
  const std::vector<float> a = any_values();
  const std::vector<float> b = any_values();
  const int bins = *rc::gen::element(8, 100, 2048);
  HistogramObserver first({.bins = bins});
  HistogramObserver second({.bins = bins});
  first.observe(floats(a));
  second.observe(floats(b));
  first.merge(second);

  std::vector<float> all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  RC_ASSERT(first.min_val() == all.front());
  RC_ASSERT(first.max_val() == all.back());
  const double width = (static_cast<double>(all.back()) - static_cast<double>(all.front())) / bins;
  if (width == 0) return;
  const double rounding = 1e-3 * width + 1e-6 * std::max(std::abs(all.front()), std::abs(all.back()));
  const auto below = [&](double x) {
    return static_cast<double>(std::lower_bound(all.begin(), all.end(), x) - all.begin());
  };
  double mass = 0;
  for (int i = 0; i < bins; ++i) {
    const double edge = static_cast<double>(all.front()) + width * i;
    RC_ASSERT(mass >= below(edge - 2 * width - rounding) - 1e-3);
    RC_ASSERT(mass <= below(edge + 2 * width + rounding) + 1e-3);
    mass += static_cast<double>(first.histogram()[static_cast<std::size_t>(i)]);
  }
  RC_ASSERT(std::abs(mass - static_cast<double>(all.size())) < 1e-3);
}

RC_GTEST_PROP(HistogramObserver, ScaleIsAtMostThatOfTheWholeRange, ()) {
  const std::vector<float> x = any_values();
  HistogramObserver observer;
  MinMaxObserver whole;
  observer.observe(floats(x));
  whole.observe(floats(x));
  const double scale = observer.calculate_qparams().qparams.scales[0];
  RC_ASSERT(scale > 0);
  RC_ASSERT(scale <= whole.calculate_qparams().qparams.scales[0] * (1 + 1e-6));
}

template <class O>
void check_round_trip() {
  O observer({.bins = 100});
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    std::vector<float> values = any_values();
    values.resize(6, values[0]);
    observer.observe(Tensor::from_data(values, {2, 3}));
  }
  O loaded({.eps = 0.5, .bins = 100});
  loaded.load_state_dict(observer.state_dict("layer.act."), "layer.act.");
  RC_ASSERT(loaded.calibrated() == observer.calibrated());
  RC_ASSERT(loaded.eps() == observer.eps());
  RC_ASSERT(loaded.calculate_qparams().qparams == observer.calculate_qparams().qparams);
  RC_ASSERT(observer.clone()->calculate_qparams().qparams == observer.calculate_qparams().qparams);
}

RC_GTEST_PROP(Observer, StateGoesThroughADict, ()) {
  check_round_trip<MinMaxObserver>();
  check_round_trip<MovingAverageMinMaxObserver>();
  check_round_trip<PerChannelMinMaxObserver>();
  check_round_trip<MovingAveragePerChannelMinMaxObserver>();
  check_round_trip<HistogramObserver>();
  check_round_trip<PercentileObserver>();
  check_round_trip<EntropyObserver>();
  check_round_trip<MSEObserver>();
}

std::vector<std::pair<std::string, std::vector<float>>> contents(const StateDict& state) {
  std::vector<std::pair<std::string, std::vector<float>>> result;
  for (const auto& [name, tensor] : state) {
    std::vector<float>& values = result.emplace_back(name, std::vector<float>()).second;
    if (tensor.dtype() == float32) {
      values = tensor.to_vector<float>();
    } else {
      for (const std::int64_t v : tensor.to_vector<std::int64_t>()) values.push_back(static_cast<float>(v));
    }
  }
  return result;
}

// Batches divided among observers in any way, whose states are merged in any order.
template <class O>
void check_shards() {
  const auto batches = *rc::gen::inRange(1, 6);
  std::vector<O> shards(static_cast<std::size_t>(*rc::gen::inRange(1, 4)), O({.bins = 100}));
  O whole({.bins = 100});
  for (int i = 0; i < batches; ++i) {
    std::vector<float> values = any_values();
    values.resize(6, values[0]);
    const Tensor x = Tensor::from_data(values, {2, 3});
    whole.observe(x);
    shards[*rc::gen::inRange<std::size_t>(0, shards.size())].observe(x);
  }
  O merged({.bins = 100});
  while (!shards.empty()) {
    const auto i = static_cast<std::ptrdiff_t>(*rc::gen::inRange<std::size_t>(0, shards.size()));
    merged.merge_state(shards[static_cast<std::size_t>(i)].state_dict("x."), "x.");
    shards.erase(shards.begin() + i);
  }
  RC_ASSERT(contents(merged.state_dict()) == contents(whole.state_dict()));
  RC_ASSERT(merged.calculate_qparams().qparams == whole.calculate_qparams().qparams);
}

RC_GTEST_PROP(Observer, ShardsMergeToTheWhole, ()) {
  check_shards<MinMaxObserver>();
  check_shards<PerChannelMinMaxObserver>();
  check_shards<PercentileObserver>();
  check_shards<EntropyObserver>();
  check_shards<MSEObserver>();
}

}  // namespace
}  // namespace qconv
