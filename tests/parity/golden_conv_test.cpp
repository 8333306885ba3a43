// The operators against a real PyTorch: every case of tests/golden/conv.jsonl, on both engines, zero bytes
// different.
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "support/golden.hpp"

namespace qconv {
namespace {

using nlohmann::json;
using testing::GoldenBlob;

using Ints = std::vector<std::int64_t>;

PackedParams prepack(const json& c, const Tensor& weight, const ops::Bias& bias, const std::string& engine) {
  const auto op = c.at("op").get<std::string>();
  const Ints stride = c.at("stride"), padding = c.at("padding"), dilation = c.at("dilation"),
             output_padding = c.at("output_padding");
  const std::int64_t groups = c.at("groups");
  const ops::PrepackOptions options{
      .rule = c.at("engine") == "qnnpack" ? RequantRule::qnnpack : RequantRule::fbgemm, .engine = engine};
  if (op == "conv1d") return ops::conv1d_prepack(weight, bias, stride, padding, dilation, groups, options);
  if (op == "conv2d") return ops::conv2d_prepack(weight, bias, stride, padding, dilation, groups, options);
  if (op == "conv3d") return ops::conv3d_prepack(weight, bias, stride, padding, dilation, groups, options);
  const auto transposed = op == "conv_transpose1d"   ? ops::conv_transpose1d_prepack
                          : op == "conv_transpose2d" ? ops::conv_transpose2d_prepack
                                                     : ops::conv_transpose3d_prepack;
  return transposed(weight, bias, stride, padding, output_padding, dilation, groups, options);
}

Tensor run_static(const json& c, const Tensor& x, const PackedParams& packed) {
  const auto op = c.at("op").get<std::string>();
  const double scale = c.at("y_scale");
  const std::int64_t zero_point = c.at("y_zero_point");
  const bool relu = c.at("relu");
  if (op == "conv1d")
    return (relu ? ops::conv1d_relu : ops::conv1d)(x, packed, scale, zero_point, std::nullopt);
  if (op == "conv2d")
    return (relu ? ops::conv2d_relu : ops::conv2d)(x, packed, scale, zero_point, std::nullopt);
  if (op == "conv3d")
    return (relu ? ops::conv3d_relu : ops::conv3d)(x, packed, scale, zero_point, std::nullopt);
  const auto transposed = op == "conv_transpose1d"   ? ops::conv_transpose1d
                          : op == "conv_transpose2d" ? ops::conv_transpose2d
                                                     : ops::conv_transpose3d;
  return transposed(x, packed, scale, zero_point, std::nullopt);
}

Tensor run_dynamic(const json& c, const Tensor& x, const PackedParams& packed) {
  const auto op = c.at("op").get<std::string>();
  // QNNPACK ignores reduce_range.
  const bool reduce_range = c.at("engine") == "fbgemm" && c.at("reduce_range").get<bool>();
  const auto run = op == "conv1d"             ? ops::conv1d_dynamic
                   : op == "conv2d"           ? ops::conv2d_dynamic
                   : op == "conv3d"           ? ops::conv3d_dynamic
                   : op == "conv_transpose1d" ? ops::conv_transpose1d_dynamic
                   : op == "conv_transpose2d" ? ops::conv_transpose2d_dynamic
                                              : ops::conv_transpose3d_dynamic;
  return run(x, packed, reduce_range);
}

Tensor weight_of(const json& c, const GoldenBlob& blob) {
  const auto scales = c.at("w_scales").get<std::vector<double>>();
  const auto zero_points = c.at("w_zero_points").get<Ints>();
  const Tensor w = blob.tensor<std::int8_t>(c.at("w"));
  return make_quantized(w, c.at("w_axis").is_null()
                               ? QParams::per_tensor(scales[0], zero_points[0])
                               : QParams::per_channel(scales, zero_points, c.at("w_axis")));
}

// Runs one case; true when every byte equals PyTorch's.
bool agrees(const json& c, const GoldenBlob& blob, const std::string& engine) {
  const Tensor weight = weight_of(c, blob);
  const ops::Bias bias = c.at("bias").get<bool>() ? ops::Bias(blob.tensor<float>(c.at("b"))) : std::nullopt;
  const PackedParams packed = prepack(c, weight, bias, engine);
  if (c.at("dynamic").get<bool>())
    return equal(run_dynamic(c, blob.tensor<float>(c.at("x")), packed), blob.tensor<float>(c.at("y")));
  const Tensor x = make_quantized(blob.tensor<std::uint8_t>(c.at("x")),
                                  QParams::per_tensor(c.at("x_scale"), c.at("x_zero_point")));
  return equal(run_static(c, x, packed).int_repr(), blob.tensor<std::uint8_t>(c.at("y")));
}

class GoldenConv : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenConv, EveryByteIsPyTorchs) {
  const GoldenBlob blob("conv");
  std::ifstream lines(QCONV_TEST_DATA "/golden/conv.jsonl");
  int cases = 0;
  int wrong = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const json c = json::parse(line);
    bool ok = false;
    EXPECT_NO_THROW(ok = agrees(c, blob, GetParam())) << line.substr(0, 600);
    if (!ok && ++wrong <= 5) ADD_FAILURE() << GetParam() << " differs: " << line.substr(0, 600);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(cases, 3000);
}

INSTANTIATE_TEST_SUITE_P(Engines, GoldenConv, ::testing::Values("reference", "native"),
                         [](const auto& engine) { return engine.param; });

}  // namespace
}  // namespace qconv
