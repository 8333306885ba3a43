#include <gmock/gmock.h>

#include <qconv/error.hpp>
#include <qconv/qconfig.hpp>
#include <qconv/quantize_weight.hpp>

namespace qconv {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::int8_t> integers(const Tensor& q) { return q.int_repr().to_vector<std::int8_t>(); }

TEST(QuantizeWeight, QuantizesPerTensor) {
  const Tensor w = Tensor::from_data(std::vector<float>{-127.5F, -64, 64, 127.5F}, {2, 2});
  const auto observer = default_weight_observer()();
  observer->observe(w);
  const Tensor q = quantize_weight(w, *observer);
  EXPECT_EQ(q.qparams(), QParams::per_tensor(1, 0));
  EXPECT_THAT(integers(q), ElementsAre(-128, -64, 64, 127));
}

TEST(QuantizeWeight, LimitsToTheObserversRange) {
  const Tensor w = Tensor::from_data(std::vector<float>{-3, -1, 1, 3}, {2, 2});
  MinMaxObserver observer(
      {.dtype = qint8, .qscheme = QScheme::per_tensor_symmetric, .quant_min = -8, .quant_max = 7});
  observer.observe(w);
  EXPECT_THAT(integers(quantize_weight(w, observer)), ElementsAre(-8, -2, 2, 7));
}

TEST(QuantizeWeight, QuantizesAlongTheAxis) {
  const Tensor w = Tensor::from_data(std::vector<float>{-1, 4, 0.5F, 2}, {2, 2});
  const auto observer = per_channel_weight_observer_range_neg_127_to_127(1)();
  observer->observe(w);
  const Tensor q = quantize_weight(w, *observer);
  EXPECT_EQ(q.q_per_channel_axis(), 1);
  EXPECT_THAT(integers(q), ElementsAre(-127, 127, 64, 64));
}

TEST(QuantizeWeight, RefusesWhatItCannotUse) {
  const Tensor w = Tensor::zeros({2, 2}, float32);
  MinMaxObserver quint8_observer;
  quint8_observer.observe(w);
  EXPECT_THAT([&] { quantize_weight(w, quint8_observer); },
              ThrowsMessage<TypeError>(HasSubstr("got quint8")));
  const auto fresh = default_weight_observer()();
  EXPECT_THAT([&] { quantize_weight(w, *fresh); }, ThrowsMessage<ValueError>(HasSubstr("has seen nothing")));
  const auto channels = default_per_channel_weight_observer()();
  channels->observe(Tensor::zeros({3, 2}, float32));
  EXPECT_THROW(quantize_weight(w, *channels), ValueError);
}

TEST(QConfig, TransposedConvolutionsAvoidTheInputAxis) {
  EXPECT_EQ(get_default_transposed_qconfig("x86").weight()->name(), "MinMaxObserver");
  EXPECT_EQ(get_default_transposed_qconfig("fbgemm").weight()->name(), "MinMaxObserver");
  EXPECT_EQ(get_default_transposed_qconfig("onednn").weight()->ch_axis(), 1);
  EXPECT_EQ(get_default_transposed_qconfig("qnnpack").weight()->name(), "MinMaxObserver");
}

TEST(QConfig, NamesTheBackendsItKnows) {
  EXPECT_THAT([] { get_default_qconfig("cuda"); },
              ThrowsMessage<ValueError>(
                  HasSubstr("unknown backend 'cuda', expected x86, fbgemm, onednn or qnnpack")));
}

TEST(QConfig, FactoriesMakeFreshObservers) {
  const QConfig config = default_qconfig();
  config.weight()->observe(Tensor::zeros({1}, float32));
  EXPECT_FALSE(config.weight()->calibrated());
  EXPECT_THROW(with_args<MinMaxObserver>(ObserverOptions{.quant_min = 3, .quant_max = 1}), ValueError);
}

}  // namespace
}  // namespace qconv
