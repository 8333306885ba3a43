// FakeQuantize as an observer: its state, its copies, what it refuses.
#include <limits>

#include <gmock/gmock.h>

#include <qconv/error.hpp>
#include <qconv/qconfig.hpp>
#include <qconv/quantize.hpp>
#include <qconv/quantize_weight.hpp>

namespace qconv {
namespace {

using ::testing::HasSubstr;

Tensor numbers(std::initializer_list<float> values) {
  return Tensor::from_data(std::vector<float>(values), {static_cast<std::int64_t>(values.size())});
}

FakeQuantize* as_fake(const std::unique_ptr<Observer>& observer) {
  return dynamic_cast<FakeQuantize*>(observer.get());
}

TEST(FakeQuantize, AddsTheZeroPointAfterRounding) {
  const Tensor y = fake_quantize_per_tensor_affine(numbers({0.5F, 1.5F, -2.5F, 9}), 1, 1, 0, 7);
  EXPECT_TRUE(equal(y, numbers({0, 2, -1, 6})));
}

TEST(FakeQuantize, NumbersWithoutAnAnswerSaturate) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const Tensor y = fake_quantize_per_tensor_affine(
      numbers({inf, -inf, std::numeric_limits<float>::quiet_NaN()}), 0.5, 3, 0, 10);
  EXPECT_TRUE(equal(y, numbers({3.5F, -1.5F, -1.5F})));
}

TEST(FakeQuantize, EqualsQuantizingAndDequantizing) {
  const Tensor x = numbers({-3, -0.26F, -0.1F, 0.07F, 0.35F, 2.51F, 40});
  EXPECT_TRUE(equal(fake_quantize_per_tensor_affine(x, 0.1, 30, 0, 255),
                    quantize_per_tensor(x, 0.1, 30, quint8).dequantize()));
}

TEST(FakeQuantize, TheOperatorsRefuseWhatFitsNoRange) {
  const Tensor x = numbers({1, 2});
  const std::vector<double> scales{1, 1};
  const std::vector<std::int64_t> zero_points{0, 0};
  EXPECT_THROW(fake_quantize_per_tensor_affine(x, 0, 0, 0, 255), ValueError);
  EXPECT_THROW(fake_quantize_per_tensor_affine(x, 1, 256, 0, 255), ValueError);
  EXPECT_THROW(fake_quantize_per_tensor_affine(x, 1, 0, 5, 5), ValueError);
  EXPECT_THROW(fake_quantize_per_tensor_affine(Tensor::zeros({2}, int32), 1, 0, 0, 255), TypeError);
  EXPECT_THROW(fake_quantize_per_channel_affine(x, scales, zero_points, 1, 0, 255), ValueError);
  EXPECT_THROW(fake_quantize_per_channel_affine(numbers({1}), scales, zero_points, 0, 0, 255), ValueError);
}

TEST(FakeQuantize, SwitchesAreHonoured) {
  FakeQuantize fake({.quant_min = 0, .quant_max = 255});
  const Tensor x = numbers({-1, 0.123F, 2});
  fake.disable_observer();
  fake.disable_fake_quant();
  EXPECT_TRUE(equal(fake.forward(x), x));
  EXPECT_FALSE(fake.calibrated());
  fake.enable_observer();
  EXPECT_TRUE(equal(fake.forward(x), x));
  EXPECT_TRUE(fake.calibrated());
  fake.enable_fake_quant();
  EXPECT_FALSE(equal(fake.forward(x), x));
  fake.reset();
  EXPECT_FALSE(fake.calibrated());
  EXPECT_EQ(fake.qparams(), QParams());
}

TEST(FakeQuantize, StatesLoadIntoFreshOnes) {
  const Tensor x = Tensor::from_data(std::vector<float>{-1, 2, 3, -4, 0.5F, 6}, {3, 2});
  for (const ObserverFactory& factory :
       {default_fake_quant(), default_per_channel_weight_fake_quant(), default_fused_act_fake_quant(),
        default_fused_per_channel_wt_fake_quant(), default_histogram_fake_quant(),
        default_fixed_qparams_range_neg1to1_fake_quant()}) {
    const std::unique_ptr<Observer> from = factory();
    SCOPED_TRACE(from->to_string());
    as_fake(from)->forward(x);
    as_fake(from)->disable_observer();
    const std::unique_ptr<Observer> to = factory();
    to->load_state_dict(from->state_dict("w."), "w.");
    EXPECT_FALSE(as_fake(to)->observer_enabled());
    EXPECT_EQ(as_fake(to)->qparams(), as_fake(from)->qparams());
    EXPECT_EQ(to->calculate_qparams().qparams, from->calculate_qparams().qparams);
    EXPECT_TRUE(equal(as_fake(to)->forward(x), as_fake(from)->forward(x)));
    // A state of one that saw nothing, too.
    to->load_state_dict(factory()->state_dict());
    EXPECT_EQ(as_fake(to)->qparams(), as_fake(factory())->qparams());
  }
}

TEST(FakeQuantize, ABadStateChangesNothing) {
  const std::unique_ptr<Observer> fake = default_fused_act_fake_quant()();
  as_fake(fake)->forward(numbers({-1, 2}));
  const QParams before = as_fake(fake)->qparams();
  const auto refuses = [&](const char* key, Tensor tensor) {
    StateDict state = fake->state_dict();
    state.set(key, std::move(tensor));
    EXPECT_THROW(fake->load_state_dict(state), Error) << key;
    EXPECT_EQ(as_fake(fake)->qparams(), before);
  };
  refuses("scale", numbers({0}));
  refuses("scale", numbers({1, 2}));
  refuses("zero_point", Tensor::from_data(std::vector<std::int32_t>{256}, {1}));
  refuses("zero_point", numbers({0}));
  refuses("fake_quant_enabled", numbers({1}));
  refuses("activation_post_process.min_val", numbers({1, 2}));
  refuses("something_else", numbers({1}));
  StateDict state = fake->state_dict();
  state.erase("scale");
  EXPECT_THROW(fake->load_state_dict(state), ValueError);
}

TEST(FakeQuantize, ClonesShareNothing) {
  const std::unique_ptr<Observer> fake = default_fake_quant()();
  fake->observe(numbers({-1, 1}));
  const std::unique_ptr<Observer> copy = fake->clone();
  copy->observe(numbers({-9, 9}));
  EXPECT_NE(copy->calculate_qparams().qparams, fake->calculate_qparams().qparams);
  EXPECT_EQ(copy->name(), fake->name());
}

TEST(FakeQuantize, MergesTheObserversInside) {
  FakeQuantize a(with_args<MinMaxObserver>(ObserverOptions{}));
  FakeQuantize b(with_args<MinMaxObserver>(ObserverOptions{}));
  a.observe(numbers({-1, 1}));
  b.observe(numbers({0, 3}));
  a.merge(b);
  MinMaxObserver both;
  both.observe(numbers({-1, 3}));
  EXPECT_EQ(a.calculate_qparams().qparams, both.calculate_qparams().qparams);
  EXPECT_EQ(a.qparams(), both.calculate_qparams().qparams);
}

TEST(FakeQuantize, QuantizesWeightsAsTheObserverInside) {
  const Tensor weight = Tensor::from_data(std::vector<float>{-1, 2, 3, -4, 0.5F, 6}, {3, 2});
  const auto quantized = [&](const ObserverFactory& factory) {
    const std::unique_ptr<Observer> observer = factory();
    observer->observe(weight);
    return quantize_weight(weight, *observer);
  };
  EXPECT_TRUE(equal(quantized(default_fused_per_channel_wt_fake_quant()),
                    quantized(default_per_channel_weight_observer())));
  EXPECT_TRUE(equal(quantized(default_fused_wt_fake_quant()), quantized(default_weight_observer())));
}

TEST(FakeQuantize, RefusesWhatItCannotWrap) {
  EXPECT_THROW(FakeQuantize{ObserverFactory()}, ValueError);
  EXPECT_THROW(FakeQuantize{with_args<PlaceholderObserver>()}, TypeError);
  EXPECT_THROW(FusedMovingAvgObsFakeQuantize(
                   {.dtype = qint8, .qscheme = QScheme::per_channel_symmetric, .ch_axis = 1}),
               ValueError);
  EXPECT_THROW(get_default_qat_qconfig("cuda"), ValueError);
  EXPECT_THROW(get_default_qat_qconfig("x86", 2), ValueError);
  FusedMovingAvgObsFakeQuantize fake;
  EXPECT_THROW(fake.forward(numbers({std::numeric_limits<float>::quiet_NaN()})), ValueError);
}

}  // namespace
}  // namespace qconv
