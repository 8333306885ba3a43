// Reference modules, and quantized modules made from them.
#include <gmock/gmock.h>

#include <qconv/functional.hpp>

#include "nn/module_kinds.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
namespace nnqr = nn::quantized::reference;
using ::testing::HasSubstr;

TEST(Reference, ConvolvesWithTheQuantizedWeight) {
  const nn::Conv2d conv(4, 6, 3, 1, 1, 1, 2, true, "reflect");
  const auto ref = nnqr::Conv2d::from_float(conv, {QParams::per_tensor(0.01, 3), qint8});
  EXPECT_EQ(ref.to_string(),
            "QuantizedConv2d(Reference)(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2, "
            "padding_mode=reflect)");
  EXPECT_TRUE(equal(ref.get_quantized_weight(),
                    quantize_per_tensor(conv.weight, static_cast<float>(0.01), 3, qint8)));
  const Tensor x = random_floats({1, 4, 5, 5}, 6);
  EXPECT_TRUE(equal(ref.forward(x),
                    functional::conv2d(x, ref.get_weight(), conv.bias, 1, 1, 1, 2, PaddingMode::reflect)));
}

TEST(Reference, MakesQuantizedModules) {
  const nn::ConvTranspose1d conv(4, 6, 3, 2, 1, 1, 2);
  const auto ref = nnqr::ConvTranspose1d::from_float(
      conv, {QParams::per_channel({0.01, 0.02, 0.03}, {0, 1, -1}, 1), qint8});
  const auto q = nnq::ConvTranspose1d::from_reference(ref, 0.04, 100);
  EXPECT_EQ(q.scale, 0.04);
  EXPECT_EQ(q.zero_point, 100);
  EXPECT_EQ(static_cast<const nn::ConvAttributes&>(q), static_cast<const nn::ConvAttributes&>(conv));
  EXPECT_TRUE(equal(q.weight(), ref.get_quantized_weight()));
  EXPECT_TRUE(equal(*q.bias(), *conv.bias));
  // The quantized module does in int8 what the reference does in float.
  const Tensor x = quantize_per_tensor(random_floats({2, 4, 9}, 6), 0.01, 128, quint8);
  const auto expected = ref.forward(x.dequantize()).to_vector<float>();
  const auto actual = q.forward(x).dequantize().to_vector<float>();
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(expected[i], actual[i], 0.0201);
}

TEST(Reference, FusedClassesTakeThemToo) {
  const auto ref = nnqr::Conv2d::from_float(nn::Conv2d(3, 4, 3), {QParams::per_tensor(0.01, 0), qint8});
  const auto q = nniq::ConvReLU2d::from_reference(ref, 0.04, 100);
  EXPECT_EQ(q.name(), "QuantizedConvReLU2d");
}

TEST(Reference, TheDefaultDTypeIsPyTorchsAndCannotBePacked) {
  const nnqr::Conv1d ref(nn::Conv1d(2, 2, 3));
  EXPECT_EQ(ref.weight_qparams().dtype, quint8);
  try {
    nnq::Conv1d::from_reference(ref, 1, 0);
    FAIL();
  } catch (const TypeError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("QuantizedConv1d.from_reference: the reference module's weight_qparams must "
                          "have dtype qint8, got quint8"));
  }
  EXPECT_THROW(nnqr::Conv1d(nn::Conv1d(2, 2, 3), {QParams::per_channel({1}, {0}, 0), qint8}), ValueError);
  EXPECT_THROW(nnqr::Conv1d(nn::Conv1d(2, 2, 3), {QParams::per_tensor(1, 0), float32}), TypeError);
}

TEST(Reference, StateGoesRound) {
  const auto ref = nnqr::Conv1d::from_float(nn::Conv1d(2, 3, 3),
                                            {QParams::per_channel({0.1, 0.2, 0.3}, {0, 1, 2}, 0), qint8});
  auto other = nnqr::Conv1d::from_float(nn::Conv1d(2, 3, 3), {QParams::per_tensor(1, 0), qint8});
  other.load_state_dict(ref.state_dict("r."), "r.");
  EXPECT_TRUE(equal(other.get_quantized_weight(), ref.get_quantized_weight()));
  StateDict damaged = ref.state_dict();
  damaged.set("weight_scale", Tensor::from_data(std::vector<float>{1, -1, 1}, {3}));
  damaged.set("weight_axis", Tensor::scalar(std::int32_t{7}));
  const nn::LoadResult report = other.load_state_dict(damaged, "", false);
  EXPECT_EQ(report.mismatched.size(), 1U);
  damaged.set("weight_axis", Tensor::scalar(std::int32_t{0}));
  EXPECT_THROW(other.load_state_dict(damaged), ValueError);
  EXPECT_TRUE(equal(other.get_quantized_weight(), ref.get_quantized_weight()));
}

}  // namespace
}  // namespace qconv
