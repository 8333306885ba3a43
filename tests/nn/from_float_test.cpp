// from_float: what it refuses and in whose name, and the axis of transposed weights.
#include <gmock/gmock.h>

#include "nn/module_kinds.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::HasSubstr;
using ::testing::StartsWith;

nn::Conv2d prepared() {
  nn::Conv2d conv(3, 4, 3);
  conv.qconfig = default_qconfig();
  return conv;
}

TEST(FromFloat, NeedsAQConfig) {
  EXPECT_THAT(message_of<ValueError>([] { nnq::Conv2d::from_float(nn::Conv2d(3, 4, 3)); }),
              StartsWith("QuantizedConv2d.from_float: Input float module must have qconfig defined"));
  nn::Conv2d conv = prepared();
  conv.qconfig->weight = nullptr;
  EXPECT_THAT(message_of<ValueError>([&] { nnq::Conv2d::from_float(conv); }),
              HasSubstr("the qconfig has no weight observer"));
}

TEST(FromFloat, RefusesAnObserverThatSawNothingByName) {
  nn::Conv2d conv = prepared();
  conv.activation_post_process = conv.qconfig->activation();
  EXPECT_THAT(message_of<ValueError>([&] { nnq::Conv2d::from_float(conv, "backbone.layer1.conv"); }),
              StartsWith("backbone.layer1.conv: the activation observer (MinMaxObserver) has seen no data"));
  nni::ConvReLU2d fused(conv);
  fused.activation_post_process = get_default_qconfig().activation();
  EXPECT_THAT(message_of<ValueError>([&] { nniq::ConvReLU2d::from_float(fused, "stem"); }),
              StartsWith("stem: the activation observer (HistogramObserver) has seen no data"));
}

TEST(FromFloat, WithoutActivationParametersTheOutputKeepsScaleOne) {
  nn::Conv2d conv = prepared();
  EXPECT_EQ(nnq::Conv2d::from_float(conv).scale, 1.0);
  conv.activation_post_process = std::make_shared<PlaceholderObserver>();
  EXPECT_EQ(nnq::Conv2d::from_float(conv).scale, 1.0);
  conv.activation_post_process = default_dynamic_qconfig().activation();
  EXPECT_EQ(nnq::Conv2d::from_float(conv).zero_point, 0);
}

TEST(FromFloat, RefusesObserversOfOtherKinds) {
  nn::Conv2d conv = prepared();
  conv.qconfig->weight = default_observer();
  EXPECT_THAT(message_of<TypeError>([&] { nnq::Conv2d::from_float(conv, "c"); }),
              StartsWith("c: Weight observer must have a dtype of qint8, got quint8"));
  conv.qconfig->weight = default_per_channel_weight_observer(1);
  EXPECT_THAT(message_of<ValueError>([&] { nnq::Conv2d::from_float(conv, "c"); }),
              StartsWith("c: the weight observer has ch_axis 1, expected 0"));
  conv = prepared();
  conv.activation_post_process = std::make_shared<MinMaxObserver>(ObserverOptions{.dtype = qint32});
  EXPECT_THAT(message_of<TypeError>([&] { nnq::Conv2d::from_float(conv, "c"); }),
              StartsWith("c: the activation observer must have dtype quint8 or qint8"));
}

// PyTorch's presets observe axis 0 of a transposed weight, which are its input channels.
TEST(FromFloat, TransposedWeightsAreQuantizedAlongTheirOutputChannels) {
  nn::ConvTranspose2d conv(4, 6, 3, 1, 0, 0, 2);
  conv.weight = random_floats({4, 3, 3, 3}, 8);
  float* w = conv.weight.mutable_data<float>();
  for (std::int64_t i = 0; i < conv.weight.numel(); ++i) w[i] *= static_cast<float>(i / 9 % 3 + 1);
  std::vector<double> scales;
  for (const int axis : {0, 1}) {
    conv.qconfig = {nullptr, default_per_channel_weight_observer(axis)};
    const auto q = nnq::ConvTranspose2d::from_float(conv);
    EXPECT_EQ(q.weight().sizes(), conv.weight.sizes());
    EXPECT_EQ(q.weight().q_per_channel_axis(), 1);
    if (scales.empty()) scales = q.weight().qparams().scales;
    EXPECT_EQ(q.weight().qparams().scales, scales) << axis;
  }
  ASSERT_EQ(scales.size(), 3U);
  EXPECT_GT(scales[2], 2 * scales[0]);
}

TEST(FromFloat, CopiesTheBias) {
  nn::Conv2d conv = prepared();
  const auto q = nnq::Conv2d::from_float(conv);
  const float before = q.bias()->data<float>()[0];
  conv.bias->mutable_data<float>()[0] += 1;
  EXPECT_EQ(q.bias()->data<float>()[0], before);
  conv.bias.reset();
  EXPECT_FALSE(nnq::Conv2d::from_float(conv).bias());
}

TEST(FromFloat, TheConvolutionsOwnQConfigGoesFirst) {
  nni::ConvReLU2d fused(nn::Conv2d(3, 4, 3));
  fused.qconfig = default_per_channel_qconfig();
  EXPECT_TRUE(nniq::ConvReLU2d::from_float(fused).weight().qparams().is_per_channel());
  fused.conv.qconfig = default_qconfig();
  EXPECT_FALSE(nniq::ConvReLU2d::from_float(fused).weight().qparams().is_per_channel());
}

TEST(FromFloat, KeepsThePaddingModeAndUnevenPadding) {
  nn::Conv1d conv(2, 2, 4, 1, "same", 1, 1, true, "circular");
  conv.qconfig = default_qconfig();
  const auto q = nnq::Conv1d::from_float(conv);
  EXPECT_EQ(q.padding, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(q.padding_mode, PaddingMode::circular);
  EXPECT_EQ(q.extra_repr(), "2, 2, kernel_size=(4,), stride=(1,), scale=1.0, zero_point=0, padding=(1, 2)");
  EXPECT_EQ(q.forward(quantize_per_tensor(random_floats({1, 2, 7}, 3), 0.01, 0, quint8)).size(2), 7);
}

TEST(Dynamic, FloatInFloatOut) {
  nn::Conv2d conv(3, 4, 3);
  conv.qconfig = default_dynamic_qconfig();
  const auto q = nnq::dynamic::Conv2d::from_float(conv);
  EXPECT_EQ(q.to_string(),
            "DynamicQuantizedConv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), scale=1.0, zero_point=0)");
  const Tensor x = random_floats({2, 3, 8, 8}, 21);
  EXPECT_TRUE(equal(q.forward(x), ops::conv2d_dynamic(x, q.packed_params(), true)));
  EXPECT_TRUE(equal(q.forward(x, false), ops::conv2d_dynamic(x, q.packed_params(), false)));
  nn::ConvTranspose3d up(2, 3, 2);
  up.qconfig = default_dynamic_qconfig();
  const auto qup = nnq::dynamic::ConvTranspose3d::from_float(up);
  EXPECT_EQ(qup.forward(random_floats({1, 2, 3, 3, 3}, 2)).sizes(), (Shape{1, 3, 4, 4, 4}));
  EXPECT_EQ(qup.name(), "DynamicQuantizedConvTranspose3d");
}

}  // namespace
}  // namespace qconv
