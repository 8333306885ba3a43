// quantize and dequantize against a real PyTorch: tests/golden/quantize.json.
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "support/golden.hpp"

namespace qconv {
namespace {

Tensor expected_integers(const nlohmann::json& record, DType dtype, const testing::GoldenBlob& blob) {
  switch (dtype) {
    case DType::quint8:
      return blob.tensor<std::uint8_t>(record);
    case DType::qint8:
      return blob.tensor<std::int8_t>(record);
    default:
      return blob.tensor<std::int32_t>(record);
  }
}

TEST(GoldenQuantize, EveryElementIsPyTorchs) {
  const testing::GoldenBlob blob("quantize");
  int cases = 0;
  for (const auto& c : testing::golden_json("quantize")) {
    const DType dtype = *parse_dtype(c.at("dtype").get<std::string>());
    const auto scales = c.at("scale").get<std::vector<double>>();
    const auto zero_points = c.at("zero_point").get<std::vector<std::int64_t>>();
    const Tensor x = blob.tensor<float>(c.at("x"));
    const Tensor q = c.at("op") == "per_tensor"
                         ? quantize_per_tensor(x, scales[0], zero_points[0], dtype)
                         : quantize_per_channel(x, scales, zero_points, c.at("axis").get<int>(), dtype);
    EXPECT_TRUE(equal(q.int_repr(), expected_integers(c.at("q"), dtype, blob))) << c.dump();
    EXPECT_TRUE(equal(q.dequantize(), blob.tensor<float>(c.at("dequantized")))) << c.dump();
    ++cases;
  }
  EXPECT_GE(cases, 200);
}

// What torch 2.15.0 answers where q - zero_point is no float.
TEST(GoldenQuantize, LargeIntegersOfChannelsAreSubtractedAsFloats) {
  const std::vector<double> scales{0.1, 0.37, 1.7};
  const auto dequantized = [&](std::int32_t q, std::int64_t zero_point) {
    const Tensor integers = Tensor::from_data(std::vector<std::int32_t>(3, q), {3, 1});
    const std::vector<std::int64_t> zero_points(3, zero_point);
    return make_quantized(integers, QParams::per_channel(scales, zero_points, 0))
        .dequantize()
        .to_vector<float>();
  };
  EXPECT_EQ(dequantized(16777217, -1),
            (std::vector<float>{0x1.99999ap+20F, 0x1.7ae148p+22F, 0x1.b33334p+24F}));
  EXPECT_EQ(dequantized(33554435, 1),
            (std::vector<float>{0x1.99999cp+21F, 0x1.7ae14ap+23F, 0x1.b33336p+25F}));
}

}  // namespace
}  // namespace qconv
