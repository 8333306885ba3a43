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

Tensor floats(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return Tensor::from_data(values, {count});
}

ObservedQParams after(Observer&& observer, std::vector<float> values) {
  observer.observe(floats(std::move(values)));
  return observer.calculate_qparams();
}

QParams per_tensor(float scale, std::int64_t zero_point) {
  return QParams::per_tensor(static_cast<double>(scale), zero_point);
}

TEST(MinMaxObserver, CalculatesEveryScheme) {
  const std::vector<float> x{-1.5F, 0.25F, 3.0F};
  EXPECT_EQ(after(MinMaxObserver(), x).qparams, per_tensor(4.5F / 255, 85));
  EXPECT_EQ(after(MinMaxObserver({.dtype = qint8}), x).qparams, per_tensor(4.5F / 255, -43));
  EXPECT_EQ(after(MinMaxObserver({.reduce_range = true}), x).qparams, per_tensor(4.5F / 127, 42));
  EXPECT_EQ(after(MinMaxObserver({.dtype = qint8, .qscheme = QScheme::per_tensor_symmetric}), x).qparams,
            per_tensor(3.0F / 127.5F, 0));
  EXPECT_EQ(after(MinMaxObserver({.qscheme = QScheme::per_tensor_symmetric}), x).qparams,
            per_tensor(3.0F / 127.5F, 128));
}

TEST(MinMaxObserver, HonoursARangeOfYourOwn) {
  const std::vector<float> x{-1.5F, 3.0F};
  const ObserverOptions symmetric{
      .dtype = qint8, .qscheme = QScheme::per_tensor_symmetric, .quant_min = -127, .quant_max = 127};
  EXPECT_EQ(after(MinMaxObserver(symmetric), x).qparams, per_tensor(3.0F / 127, 0));
  const ObserverOptions middle{.qscheme = QScheme::per_tensor_symmetric, .quant_min = 0, .quant_max = 101};
  EXPECT_EQ(after(MinMaxObserver(middle), x).qparams, per_tensor(3.0F / 50.5F, 50));
  const MinMaxObserver halved({.dtype = qint8, .reduce_range = true, .quant_min = -127, .quant_max = 127});
  EXPECT_EQ(halved.quant_min(), -64);
  EXPECT_EQ(halved.quant_max(), 63);
}

TEST(MinMaxObserver, ReachesZeroAndKeepsEps) {
  EXPECT_EQ(after(MinMaxObserver(), {5, 5}).qparams, per_tensor(5.0F / 255, 0));
  EXPECT_EQ(after(MinMaxObserver(), {-5, -5}).qparams, per_tensor(5.0F / 255, 255));
  EXPECT_EQ(after(MinMaxObserver(), {0, 0}).qparams, per_tensor(0x1p-23F, 0));
  EXPECT_EQ(after(MinMaxObserver({.eps = 0.25}), {-1, 1}).qparams, per_tensor(0.25F, 4));
}

TEST(MinMaxObserver, SaysWhetherItSawAnything) {
  MinMaxObserver observer;
  EXPECT_FALSE(observer.calibrated());
  EXPECT_EQ(observer.calculate_qparams().qparams, QParams());
  observer.observe(Tensor::empty({0, 3}, float32));
  EXPECT_FALSE(observer.calibrated());
  observer.observe(floats({1}));
  EXPECT_TRUE(observer.calibrated());
  observer.reset();
  EXPECT_FALSE(observer.calibrated());
}

TEST(MinMaxObserver, RefusesNanAndInfinityWhenAsked) {
  for (const std::size_t at : {0, 40, 99}) {
    std::vector<float> x(100, 1.0F);
    x[at] = std::nanf("");
    EXPECT_THAT([&] { after(MinMaxObserver(), x); }, ThrowsMessage<ValueError>(HasSubstr("minimum nan")));
  }
  EXPECT_THAT(
      [] {
        after(MinMaxObserver(), {kInf, 1});
      },
      ThrowsMessage<ValueError>(HasSubstr("[1, inf] is too wide")));
  EXPECT_THROW(after(MinMaxObserver(), {3e38F, -3e38F}), ValueError);
}

TEST(MinMaxObserver, ChecksItsOptions) {
  EXPECT_THROW(MinMaxObserver({.dtype = float32}), TypeError);
  EXPECT_THROW(MinMaxObserver({.qscheme = QScheme::per_channel_affine}), TypeError);
  EXPECT_THROW(PerChannelMinMaxObserver({.qscheme = QScheme::per_tensor_affine}), TypeError);
  EXPECT_THROW(MinMaxObserver({.quant_min = 0}), ValueError);
  EXPECT_THROW(MinMaxObserver({.quant_min = 1, .quant_max = 5}), ValueError);
  EXPECT_THROW(MinMaxObserver({.quant_min = 0, .quant_max = 0}), ValueError);
  EXPECT_THROW(MinMaxObserver({.quant_min = -1, .quant_max = 5}), ValueError);
  EXPECT_THROW(MinMaxObserver({.dtype = qint8, .quant_min = 0, .quant_max = 128}), ValueError);
  EXPECT_THROW(MinMaxObserver({.eps = 0}), ValueError);
  EXPECT_THROW(MinMaxObserver({.eps = 1e-60}), ValueError);
  EXPECT_THROW(MovingAverageMinMaxObserver({.averaging_constant = 0}), ValueError);
  EXPECT_THROW(PerChannelMinMaxObserver({.ch_axis = -1}), ValueError);
  EXPECT_THROW(MinMaxObserver({.qscheme = QScheme::per_tensor_symmetric, .reduce_range = true}), ValueError);
  MinMaxObserver observer;
  EXPECT_THROW(observer.observe(Tensor::zeros({2}, int32)), TypeError);
  EXPECT_THROW(observer.observe(Tensor()), ValueError);
}

TEST(MovingAverageMinMaxObserver, MovesByTheConstant) {
  MovingAverageMinMaxObserver observer({.averaging_constant = 0.25});
  observer.observe(floats({-1, 2}));
  observer.observe(floats({-5, 4}));
  EXPECT_EQ(observer.min_val(), -2);
  EXPECT_EQ(observer.max_val(), 2.5F);
  EXPECT_EQ(observer.batches(), 2);
}

TEST(MovingAverageMinMaxObserver, MergesWeightedByBatches) {
  MovingAverageMinMaxObserver a({.averaging_constant = 1});
  MovingAverageMinMaxObserver b({.averaging_constant = 1});
  a.observe(floats({-1, 1}));
  for (int i = 0; i < 3; ++i) b.observe(floats({-5, 9}));
  a.merge(b);
  EXPECT_EQ(a.min_val(), -4);
  EXPECT_EQ(a.max_val(), 7);
  EXPECT_EQ(a.batches(), 4);
}

TEST(PerChannelMinMaxObserver, LooksAlongItsAxisInEveryLayout) {
  std::vector<float> values(2 * 3 * 4 * 5);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 37) % 101) - 50;
  const Tensor x = Tensor::from_data(values, {2, 3, 4, 5});
  for (int axis = 0; axis < 4; ++axis) {
    PerChannelMinMaxObserver expected({.ch_axis = axis});
    PerChannelMinMaxObserver channels_last({.ch_axis = axis});
    PerChannelMinMaxObserver strided({.ch_axis = axis});
    expected.observe(x);
    channels_last.observe(x.contiguous(MemoryFormat::channels_last));
    strided.observe(x.permute({3, 1, 0, 2}).contiguous().permute({2, 1, 3, 0}));
    for (std::int64_t c = 0; c < x.size(axis); ++c) {
      MinMaxObserver one;
      one.observe(x.select(axis, c));
      EXPECT_EQ(expected.min_val()[static_cast<std::size_t>(c)], one.min_val());
      EXPECT_EQ(expected.max_val()[static_cast<std::size_t>(c)], one.max_val());
    }
    EXPECT_EQ(channels_last.calculate_qparams().qparams, expected.calculate_qparams().qparams);
    EXPECT_EQ(strided.calculate_qparams().qparams, expected.calculate_qparams().qparams);
    EXPECT_EQ(expected.calculate_qparams().qparams.axis, axis);
  }
}

TEST(PerChannelMinMaxObserver, ChecksTheChannels) {
  PerChannelMinMaxObserver observer({.ch_axis = 1});
  EXPECT_THAT([&] { observer.observe(Tensor::zeros({3}, float32)); },
              ThrowsMessage<ValueError>(HasSubstr("ch_axis 1")));
  observer.observe(Tensor::zeros({3, 2}, float32));
  EXPECT_THAT(
      [&] {
        observer.observe(Tensor::zeros({3, 4}, float32));
      },
      ThrowsMessage<ValueError>(HasSubstr("expected 2 channels in dimension 1 as before, got 4")));
  PerChannelMinMaxObserver nan;
  nan.observe(Tensor::from_data(std::vector<float>{0, 1, 2, std::nanf("")}, {2, 2}));
  EXPECT_THAT([&] { nan.calculate_qparams(); }, ThrowsMessage<ValueError>(HasSubstr("in channel 1")));
}

TEST(MovingAveragePerChannelMinMaxObserver, MovesEachChannel) {
  MovingAveragePerChannelMinMaxObserver observer({.averaging_constant = 0.5});
  observer.observe(Tensor::from_data(std::vector<float>{-1, 1, -2, 2}, {2, 2}));
  observer.observe(Tensor::from_data(std::vector<float>{-3, 3, -2, 4}, {2, 2}));
  EXPECT_THAT(observer.min_val(), ElementsAre(-2, -2));
  EXPECT_THAT(observer.max_val(), ElementsAre(2, 3));
}

TEST(Observer, MergesOnlyItsLike) {
  MinMaxObserver a;
  EXPECT_THROW(a.merge(MovingAverageMinMaxObserver()), TypeError);
  EXPECT_THROW(a.merge(MinMaxObserver({.dtype = qint8})), TypeError);
  a.observe(floats({1, 2}));
  a.merge(a);
  a.merge(MinMaxObserver());
  EXPECT_EQ(a.min_val(), 1);
}

TEST(Observer, PrintsItself) {
  MinMaxObserver a;
  a.observe(floats({-1, 2}));
  EXPECT_EQ(a.to_string(), "MinMaxObserver(dtype=quint8, qscheme=per_tensor_affine, min_val=-1, max_val=2)");
}

}  // namespace
}  // namespace qconv
