#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <qconv/error.hpp>
#include <qconv/observers.hpp>

namespace qconv {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor floats(const std::vector<float>& values) {
  return Tensor::from_data(values, {static_cast<std::int64_t>(values.size())});
}

StateDict state(std::initializer_list<StateDict::Item> items) {
  StateDict result;
  for (const auto& [name, tensor] : items) result.set(name, tensor);
  return result;
}

std::vector<std::string> keys(const StateDict& s) {
  std::vector<std::string> names;
  for (const auto& item : s) names.push_back(item.first);
  return names;
}

TEST(ObserverState, HasPyTorchsNames) {
  EXPECT_THAT(keys(MinMaxObserver().state_dict()), ElementsAre("eps", "min_val", "max_val"));
  EXPECT_THAT(keys(PerChannelMinMaxObserver().state_dict("w.")),
              ElementsAre("w.eps", "w.min_val", "w.max_val"));
  EXPECT_THAT(keys(HistogramObserver().state_dict()), ElementsAre("eps", "histogram", "min_val", "max_val"));
  EXPECT_THAT(keys(FixedQParamsObserver(0.5, 3).state_dict()), ElementsAre("scale", "zero_point"));
  EXPECT_TRUE(PlaceholderObserver().state_dict().empty());
  EXPECT_EQ(MinMaxObserver().state_dict().find("min_val")->sizes(), Shape{});
  EXPECT_EQ(PerChannelMinMaxObserver().state_dict().find("min_val")->sizes(), Shape{0});
}

TEST(ObserverState, ReadsOldFiles) {
  PerChannelMinMaxObserver channels;
  channels.load_state_dict(state({{"min_vals", floats({-1, -2})}, {"max_vals", floats({1, 2})}}));
  EXPECT_THAT(channels.max_val(), ElementsAre(1, 2));
  MinMaxObserver nothing;
  nothing.load_state_dict(state({{"min_val", floats({})}, {"max_val", floats({})}}));
  EXPECT_FALSE(nothing.calibrated());
}

TEST(ObserverState, NamesWhatIsWrong) {
  MinMaxObserver o;
  o.observe(floats({1, 2}));
  const auto load = [&o](const StateDict& s) { return [&o, s] { o.load_state_dict(s); }; };
  const Tensor one = Tensor::scalar(1.0F);
  EXPECT_THAT(load(state({{"min_val", one}})),
              ThrowsMessage<ValueError>(HasSubstr("the state has no max_val")));
  EXPECT_THAT(load(state({{"min_val", one}, {"max_val", Tensor()}})),
              ThrowsMessage<ValueError>(HasSubstr("no max_val")));
  EXPECT_THAT(load(state({{"min_val", one}, {"max_val", one}, {"bias", one}})),
              ThrowsMessage<ValueError>(HasSubstr("unexpected bias")));
  EXPECT_THAT(
      load(state({{"min_val", one}, {"max_val", floats({1, 2})}})),
      ThrowsMessage<ValueError>(HasSubstr("max_val in the state must be one number, got sizes (2,)")));
  EXPECT_THAT(load(state({{"min_val", one}, {"max_val", Tensor::scalar(1.0)}})),
              ThrowsMessage<TypeError>(HasSubstr("must be float32, got float64")));
  EXPECT_THAT(load(state({{"min_val", one}, {"min_vals", one}, {"max_val", one}})),
              ThrowsMessage<ValueError>(HasSubstr("min_val twice")));
  EXPECT_THROW(load(state({{"min_val", one}, {"max_val", one}, {"eps", Tensor::scalar(0.0F)}}))(),
               ValueError);
  EXPECT_EQ(o.max_val(), 2);
}

TEST(ObserverState, ChecksHistograms) {
  HistogramObserver o({.bins = 2});
  const auto load = [&](std::vector<float> histogram, float min, float max) {
    o.load_state_dict(state({{"histogram", floats(histogram)},
                             {"min_val", Tensor::scalar(min)},
                             {"max_val", Tensor::scalar(max)}}));
  };
  EXPECT_THROW(load({1, 2, 3}, 0, 1), ValueError);
  EXPECT_THROW(load({1, -2}, 0, 1), ValueError);
  EXPECT_THROW(load({1, kInf}, 0, 1), ValueError);
  EXPECT_THROW(load({1, 2}, 1, 0), ValueError);
  EXPECT_THROW(load({1, 2}, 0, kInf), ValueError);
  EXPECT_THROW(load({1, 2}, std::nanf(""), 0), ValueError);
  EXPECT_FALSE(o.calibrated());
  load({0, 0}, kInf, -kInf);
  EXPECT_FALSE(o.calibrated());
  load({1, 2}, 0, 1);
  EXPECT_TRUE(o.calibrated());
}

TEST(FixedQParamsObserver, KeepsItsParameters) {
  const auto tanh = default_fixed_qparams_range_neg1to1_observer()();
  tanh->observe(floats({-100, 100}));
  EXPECT_TRUE(tanh->calibrated());
  EXPECT_EQ(tanh->calculate_qparams().qparams, QParams::per_tensor(2.0 / 256, 128));
  EXPECT_EQ(default_fixed_qparams_range_0to1_observer()()->calculate_qparams().qparams,
            QParams::per_tensor(1.0 / 256, 0));
  FixedQParamsObserver loaded(1, 0);
  loaded.load_state_dict(tanh->state_dict());
  EXPECT_EQ(loaded.calculate_qparams().qparams, QParams::per_tensor(2.0 / 256, 128));
  EXPECT_THROW(loaded.merge(FixedQParamsObserver(1, 0)), ValueError);
  EXPECT_THROW(FixedQParamsObserver(0, 0), ValueError);
  EXPECT_THROW(FixedQParamsObserver(1, 256), ValueError);
}

TEST(PlaceholderObserver, ObservesNothing) {
  PlaceholderObserver o;
  o.observe(floats({1, 2}));
  EXPECT_TRUE(o.calibrated());
  EXPECT_EQ(o.dtype(), float32);
  EXPECT_THROW(o.calculate_qparams(), TypeError);
  EXPECT_EQ(o.to_string(), "PlaceholderObserver(dtype=float32, is_dynamic=False)");
}

}  // namespace
}  // namespace qconv
