#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

namespace qconv {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Tensor iota(const Shape& sizes) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(sizes.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i);
  return Tensor::from_data(values, sizes);
}

TEST(Tensor, ChannelsLastHoldsTheSameElements) {
  const Tensor t = iota({2, 3, 4, 5});
  const Tensor nhwc = t.contiguous(MemoryFormat::channels_last);
  EXPECT_EQ(nhwc.strides(), (Shape{60, 1, 15, 3}));
  EXPECT_TRUE(equal(t, nhwc));
  EXPECT_EQ(nhwc.to_vector<std::int32_t>(), t.to_vector<std::int32_t>());
}

TEST(Tensor, ViewsShareMemory) {
  Tensor t = iota({4, 6});
  Tensor column = t.select(1, 2);
  column.mutable_data<std::int32_t>()[0] = 99;
  EXPECT_EQ(t.data<std::int32_t>()[2], 99);
  EXPECT_THAT(t.narrow(0, 1, 2).select(1, 0).to_vector<std::int32_t>(), ElementsAre(6, 12));
  EXPECT_EQ(t.view({2, -1, 3}).sizes(), (Shape{2, 4, 3}));
  EXPECT_THROW(t.transpose(0, 1).view({24}), ValueError);
  EXPECT_EQ(t.transpose(0, 1).reshape({24}).select(0, 1).item(), 6);
}

TEST(Tensor, PerChannelParametersFollowTheirDimension) {
  const Tensor q =
      quantize_per_channel(Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}),
                           std::vector<double>{1, 2, 3}, std::vector<std::int64_t>{0, 1, 2}, 1, qint8);
  EXPECT_EQ(q.transpose(0, 1).q_per_channel_axis(), 0);
  EXPECT_EQ(q.select(1, 2).q_scale(), 3.0);
  EXPECT_EQ(q.narrow(1, 1, 2).q_per_channel_zero_points().to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{1, 2}));
  EXPECT_THROW(q.view({6}), ValueError);
}

TEST(Tensor, EmptyTensorsAreLegal) {
  const Tensor t = Tensor::zeros({0, 3, 4}, float32);
  EXPECT_EQ(t.numel(), 0);
  EXPECT_TRUE(t.defined());
  EXPECT_EQ(quantize_per_tensor(t, 0.5, 3, quint8).sizes(), t.sizes());
}

TEST(Quantize, KeepsTheStridesOfOneChannelOrPixel) {
  for (const Shape& sizes : {Shape{2, 15, 1, 1}, Shape{2, 1, 4, 3}}) {
    for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
      const Tensor x = Tensor::zeros(sizes, float32).clone(format);
      const Tensor q = quantize_per_tensor(x, 0.5, 3, quint8);
      EXPECT_EQ(q.strides(), x.strides());
      EXPECT_EQ(q.dequantize().strides(), x.strides());
    }
  }
}

TEST(Quantize, MultipliesByTheFloatReciprocalAndRoundsHalfToEven) {
  const Tensor x = Tensor::from_data(std::vector<float>{0.273939937F}, {1});
  EXPECT_EQ(quantize_per_tensor(x, 0.00214854861, 0, quint8).data<std::uint8_t>()[0], 128);
  const Tensor ties = Tensor::from_data(std::vector<float>{0.5F, 1.5F, 2.5F, -0.5F}, {4});
  EXPECT_THAT(quantize_per_tensor(ties, 1, 1, quint8).int_repr().to_vector<std::uint8_t>(),
              ElementsAre(1, 3, 3, 1));
}

TEST(Quantize, SaturatesInfinitiesAndSendsNanToTheBottom) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from_data(std::vector<float>{inf, -inf, std::nanf("")}, {3});
  EXPECT_THAT(quantize_per_tensor(x, 0.1, 5, qint8).int_repr().to_vector<std::int8_t>(),
              ElementsAre(127, -128, -128));
  EXPECT_THAT(quantize_per_tensor(x, 0.1, 5, qint32).int_repr().to_vector<std::int32_t>(),
              ElementsAre(INT32_MAX, INT32_MIN, INT32_MIN));
}

TEST(Quantize, RefusesBadParametersByName) {
  const Tensor x = Tensor::zeros({2}, float32);
  try {
    quantize_per_tensor(x, 0.1, 256, quint8);
    FAIL();
  } catch (const ValueError& e) {
    EXPECT_THAT(e.what(), HasSubstr("quantize_per_tensor: zero_point 256 is outside the range of quint8"));
  }
  EXPECT_THROW(quantize_per_tensor(x, 0, 0, quint8), ValueError);
  EXPECT_THROW(quantize_per_tensor(iota({2}), 1, 0, quint8), TypeError);
}

}  // namespace
}  // namespace qconv
