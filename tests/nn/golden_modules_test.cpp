// from_float against a real PyTorch: weights, parameters, printed text and output bytes of every module in
// tests/golden/modules.json, none different.
#include "nn/module_kinds.hpp"
#include "support/golden.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using nlohmann::json;

using Ints = std::vector<std::int64_t>;

// The float convolution of a case, with its weights.
template <class Conv>
Conv float_conv(const json& c, const GoldenBlob& blob) {
  const Ints kernel = c.at("kernel"), stride = c.at("stride"), padding = c.at("padding"),
             dilation = c.at("dilation"), output_padding = c.at("output_padding");
  const std::string mode = c.at("padding_mode");
  Conv conv = [&] {
    if constexpr (std::constructible_from<Conv, nn::ConvTransposeOptions>) {
      return Conv(c.at("in_channels"), c.at("out_channels"), kernel, stride, padding, output_padding,
                  c.at("groups"), c.at("bias"), dilation, mode);
    } else {
      return Conv(c.at("in_channels"), c.at("out_channels"), kernel, stride, padding, dilation,
                  c.at("groups"), c.at("bias"), mode);
    }
  }();
  conv.weight = blob.tensor<float>(c.at("weight"));
  if (conv.bias) conv.bias = blob.tensor<float>(c.at("b"));
  return conv;
}

template <class Quantized, class Float>
void expect_module(const json& c, const GoldenBlob& blob, Float module) {
  const std::string qconfig = c.at("qconfig");
  module.qconfig = qconfig == "default_qconfig" ? default_qconfig() : get_default_qconfig(qconfig);
  if (Quantized::kKind.transposed && qconfig == "fbgemm")
    module.qconfig = get_default_transposed_qconfig(qconfig);
  module.activation_post_process = module.qconfig->activation();
  for (const json& batch : c.at("observed"))
    module.activation_post_process->observe(blob.tensor<float>(batch));

  const Quantized q = Quantized::from_float(module);
  EXPECT_EQ(q.name(), c.at("name"));
  EXPECT_EQ(q.extra_repr(), c.at("extra_repr"));
  EXPECT_EQ(q.scale, c.at("y_scale").get<double>());
  EXPECT_EQ(q.zero_point, c.at("y_zero_point").get<std::int64_t>());

  const Tensor w = q.weight();
  EXPECT_TRUE(equal(w.int_repr(), blob.tensor<std::int8_t>(c.at("q_weight"))));
  EXPECT_EQ(w.qparams().scales, c.at("w_scales").get<std::vector<double>>());
  EXPECT_EQ(w.qparams().zero_points, c.at("w_zero_points").get<Ints>());
  EXPECT_EQ(w.qparams().axis, c.at("w_axis").is_null() ? -1 : c.at("w_axis").get<int>());

  const Tensor x =
      quantize_per_tensor(blob.tensor<float>(c.at("x_float")), c.at("x_scale"), c.at("x_zero_point"), quint8);
  EXPECT_TRUE(equal(x.int_repr(), blob.tensor<std::uint8_t>(c.at("x"))));
  EXPECT_TRUE(equal(q.forward(x).int_repr(), blob.tensor<std::uint8_t>(c.at("y"))));
}

void expect_case(const json& c, const GoldenBlob& blob) {
  const std::string name = c.at("class");
  if (name == "quantized.Conv1d") return expect_module<nnq::Conv1d>(c, blob, float_conv<nn::Conv1d>(c, blob));
  if (name == "quantized.Conv2d") return expect_module<nnq::Conv2d>(c, blob, float_conv<nn::Conv2d>(c, blob));
  if (name == "quantized.Conv3d") return expect_module<nnq::Conv3d>(c, blob, float_conv<nn::Conv3d>(c, blob));
  if (name == "quantized.ConvTranspose1d")
    return expect_module<nnq::ConvTranspose1d>(c, blob, float_conv<nn::ConvTranspose1d>(c, blob));
  if (name == "quantized.ConvTranspose2d")
    return expect_module<nnq::ConvTranspose2d>(c, blob, float_conv<nn::ConvTranspose2d>(c, blob));
  if (name == "quantized.ConvTranspose3d")
    return expect_module<nnq::ConvTranspose3d>(c, blob, float_conv<nn::ConvTranspose3d>(c, blob));
  if (name == "intrinsic.ConvReLU1d")
    return expect_module<nniq::ConvReLU1d>(c, blob, nni::ConvReLU1d(float_conv<nn::Conv1d>(c, blob)));
  if (name == "intrinsic.ConvReLU2d")
    return expect_module<nniq::ConvReLU2d>(c, blob, nni::ConvReLU2d(float_conv<nn::Conv2d>(c, blob)));
  if (name == "intrinsic.ConvReLU3d")
    return expect_module<nniq::ConvReLU3d>(c, blob, nni::ConvReLU3d(float_conv<nn::Conv3d>(c, blob)));
  FAIL() << "unknown class " << name;
}

TEST(GoldenModules, FromFloatEqualsPyTorch) {
  const json cases = golden_json("modules");
  const GoldenBlob blob("modules");
  ASSERT_GE(cases.size(), 60U);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE("case " + std::to_string(i) + " " + cases[i].at("class").get<std::string>() + " " +
                 cases[i].at("qconfig").get<std::string>());
    expect_case(cases[i], blob);
  }
}

}  // namespace
}  // namespace qconv
