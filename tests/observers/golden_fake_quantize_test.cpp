// Fake quantization equals PyTorch: outputs, parameters while training and at the end, and the saved state,
// over batches that turn the switches (tests/golden/fake_quantize.py).
#include <map>

#include <gtest/gtest.h>

#include <qconv/qconfig.hpp>
#include <qconv/quantize.hpp>

#include "support/golden.hpp"

namespace qconv {
namespace {

using nlohmann::json;
using testing::golden_json;
using testing::GoldenBlob;

ObserverFactory preset(const std::string& name) {
  static const std::map<std::string, ObserverFactory (*)()> kNamed{
      {"default_fake_quant", default_fake_quant},
      {"default_weight_fake_quant", default_weight_fake_quant},
      {"default_per_channel_weight_fake_quant", default_per_channel_weight_fake_quant},
      {"default_histogram_fake_quant", default_histogram_fake_quant},
      {"default_fused_act_fake_quant", default_fused_act_fake_quant},
      {"default_fused_wt_fake_quant", default_fused_wt_fake_quant},
      {"default_fused_per_channel_wt_fake_quant", default_fused_per_channel_wt_fake_quant},
      {"fused_wt_fake_quant_range_neg_127_to_127", fused_wt_fake_quant_range_neg_127_to_127},
      {"fused_per_channel_wt_fake_quant_range_neg_127_to_127",
       fused_per_channel_wt_fake_quant_range_neg_127_to_127},
      {"default_fixed_qparams_range_0to1_fake_quant", default_fixed_qparams_range_0to1_fake_quant},
      {"default_fixed_qparams_range_neg1to1_fake_quant", default_fixed_qparams_range_neg1to1_fake_quant}};
  if (const auto found = kNamed.find(name); found != kNamed.end()) return found->second();
  // "get_default_qat_qconfig(fbgemm,1).weight"
  const bool weight = name.ends_with(".weight");
  QConfig config = default_symmetric_qnnpack_qat_qconfig();
  if (const std::size_t open = name.find('('); open != std::string::npos) {
    const std::size_t comma = name.find(',');
    config = get_default_qat_qconfig(name.substr(open + 1, comma - open - 1), name[comma + 1] - '0');
  }
  return weight ? config.weight : config.activation;
}

void expect_state(const StateDict& state, const json& expected) {
  std::size_t histograms = 0;
  for (const auto& [key, tensor] : state) histograms += key.ends_with("histogram") ? 1 : 0;
  EXPECT_EQ(state.size() - histograms, expected.size());
  for (const auto& [key, record] : expected.items()) {
    const Tensor* found = state.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(to_string(found->dtype()), record.at("dtype").get<std::string>()) << key;
    EXPECT_EQ(found->sizes(), Shape(record.at("shape").get<std::vector<std::int64_t>>())) << key;
    const auto values = record.at("values").get<std::vector<double>>();
    const Tensor flat = found->reshape({found->numel()});
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(flat.select(0, static_cast<std::int64_t>(i)).item(), values[i]) << key << " " << i;
  }
}

void expect_module(const json& c, const GoldenBlob& blob) {
  const std::unique_ptr<Observer> made = preset(c.at("preset"))();
  auto& fake = dynamic_cast<FakeQuantize&>(*made);
  const json& batches = c.at("x");
  for (std::size_t i = 0; i < c.at("steps").size(); ++i) {
    const json& step = c.at("steps")[i];
    fake.enable_observer(step.at("observing"));
    fake.enable_fake_quant(step.at("faking"));
    const Tensor y = fake.forward(blob.tensor<float>(batches[i % batches.size()]));
    EXPECT_TRUE(equal(y, blob.tensor<float>(step.at("y")))) << "step " << i;
    EXPECT_EQ(fake.qparams().scales, step.at("scale").get<std::vector<double>>()) << "step " << i;
    EXPECT_EQ(fake.qparams().zero_points, step.at("zero_point").get<std::vector<std::int64_t>>());
    const QParams final = fake.calculate_qparams().qparams;
    EXPECT_EQ(final.scales, step.at("final_scale").get<std::vector<double>>()) << "step " << i;
    EXPECT_EQ(final.zero_points, step.at("final_zero_point").get<std::vector<std::int64_t>>());
  }
  expect_state(fake.state_dict(), c.at("state"));
}

void expect_operator(const json& c, const GoldenBlob& blob) {
  const auto scales = c.at("scale").get<std::vector<double>>();
  const auto zero_points = c.at("zero_point").get<std::vector<std::int64_t>>();
  const std::int64_t low = c.at("quant_min"), high = c.at("quant_max");
  const Tensor x = blob.tensor<float>(c.at("x"));
  const Tensor y = c.at("axis").is_null()
                       ? fake_quantize_per_tensor_affine(x, scales[0], zero_points[0], low, high)
                       : fake_quantize_per_channel_affine(x, scales, zero_points, c.at("axis"), low, high);
  EXPECT_TRUE(equal(y, blob.tensor<float>(c.at("y"))));
}

TEST(GoldenFakeQuantize, EqualsPyTorch) {
  const GoldenBlob blob("fake_quantize");
  int modules = 0;
  int operators = 0;
  const json document = golden_json("fake_quantize");
  for (const json& c : document.at("cases")) {
    if (c.contains("preset")) {
      SCOPED_TRACE(c.at("preset").get<std::string>() + " " + c.at("kind").get<std::string>());
      expect_module(c, blob);
      ++modules;
    } else {
      SCOPED_TRACE(c.dump());
      expect_operator(c, blob);
      ++operators;
    }
  }
  EXPECT_GE(modules, 50);
  EXPECT_GE(operators, 25);
}

}  // namespace
}  // namespace qconv
