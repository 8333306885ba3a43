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

}  // namespace
}  // namespace qconv
