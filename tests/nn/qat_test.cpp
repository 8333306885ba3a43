// Modules for quantization-aware training: where they come from and what they become, their state, their
// flags.
#include <gmock/gmock.h>

#include <qconv/functional.hpp>
#include <qconv/nn/fusion.hpp>
#include <qconv/nn/intrinsic_qat.hpp>

#include "nn/training_support.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace qat = nn::qat;
namespace iqat = nn::intrinsic::qat;

nn::Conv2d float_conv() {
  nn::Conv2d conv(3, 4, 3, 1, 1);
  conv.qconfig = get_default_qat_qconfig();
  return conv;
}

nni::ConvBnReLU2d float_conv_bn_relu() {
  nni::ConvBnReLU2d module(nn::Conv2d(3, 4, 3, 1, 1), nn::BatchNorm2d(4));
  randomize(module.bn, 31);
  module.qconfig = get_default_qat_qconfig();
  return module;
}

TEST(Qat, NeedsAQConfig) {
  EXPECT_THAT(message_of<ValueError>([] { qat::Conv2d(3, 4, 3); }),
              StartsWith("Conv2d: qconfig must be provided for a QAT module"));
  EXPECT_THAT(message_of<ValueError>([] { qat::Conv2d::from_float(nn::Conv2d(3, 4, 3), "layer1.conv"); }),
              StartsWith("layer1.conv: Input float module must have qconfig defined"));
  EXPECT_THAT(message_of<ValueError>(
                  [] { iqat::ConvBn2d::from_float(nni::ConvBn2d(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4))); }),
              HasSubstr("must have qconfig defined"));
}

// PyTorch 2.15's numbers for the same seed.
TEST(Qat, DrawsParametersAsPyTorch) {
  nn::manual_seed(7);
  const iqat::ConvBn2d module(3, 2, 3, 1, 0, 1, 1, true, "zeros", 1e-5, 0.1, false,
                              get_default_qat_qconfig());
  EXPECT_EQ(module.weight.data<float>()[0], 0.013441692106425762F);
  EXPECT_EQ(module.weight.data<float>()[1], -0.1159307062625885F);
  EXPECT_EQ(module.bn.weight->to_vector<float>(),
            (std::vector<float>{0.10492372512817383F, 0.5136615633964539F}));
  EXPECT_EQ(module.bias->to_vector<float>(),
            (std::vector<float>{-0.08953153342008591F, -0.00036998302675783634F}));
}

TEST(Qat, ConvolvesWithTheFakeQuantizedWeight) {
  const auto module = qat::Conv2d::from_float(float_conv());
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const Tensor y = module.forward(x);
  ASSERT_TRUE(module.weight_fake_quant->calibrated());
  nn::Conv2d conv = module.to_float();
  conv.weight = module.weight_fake_quant->clone()->forward(module.weight);
  EXPECT_TRUE(near(y, conv.forward(x), 1e-6));
  EXPECT_EQ(module.to_string(), "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))");
}

TEST(Qat, FromFloatCopies) {
  nn::Conv2d conv = float_conv();
  const auto module = qat::Conv2d::from_float(conv);
  EXPECT_TRUE(equal(module.weight, conv.weight));
  conv.weight.mutable_data<float>()[0] += 1;
  EXPECT_FALSE(equal(module.weight, conv.weight));
  EXPECT_TRUE(module.training);
}

TEST(Qat, ToFloatGivesBackWhatItWas) {
  nni::ConvReLU2d fused(float_conv());
  const auto module = iqat::ConvReLU2d::from_float(fused);
  EXPECT_EQ(module.name(), "ConvReLU2d");
  const nni::ConvReLU2d back = module.to_float();
  const Tensor x = random_floats({1, 3, 5, 5}, 2);
  EXPECT_TRUE(equal(back.forward(x), fused.forward(x)));
}

TEST(Qat, TheStateHasPyTorchsKeys) {
  auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  module.activation_post_process = module.qconfig->activation();
  module.forward(random_floats({2, 3, 6, 6}, 1));
  std::vector<std::string> keys;
  for (const auto& [key, tensor] : module.state_dict()) keys.push_back(key);
  const std::string fakes[] = {"fake_quant_enabled",
                               "observer_enabled",
                               "scale",
                               "zero_point",
                               "activation_post_process.eps",
                               "activation_post_process.min_val",
                               "activation_post_process.max_val"};
  std::vector<std::string> expected{"weight",
                                    "bias",
                                    "bn.weight",
                                    "bn.bias",
                                    "bn.running_mean",
                                    "bn.running_var",
                                    "bn.num_batches_tracked"};
  for (const char* prefix : {"weight_fake_quant.", "activation_post_process."})
    for (const std::string& key : fakes) expected.push_back(prefix + key);
  EXPECT_EQ(keys, expected);

  auto other = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  other.activation_post_process = other.qconfig->activation();
  EXPECT_TRUE(other.load_state_dict(module.state_dict()).ok());
  other.eval();
  module.eval();
  const Tensor x = random_floats({2, 3, 6, 6}, 3);
  EXPECT_TRUE(equal(other.forward(x), module.forward(x)));
}

TEST(Qat, ReadsVersion1) {
  const auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  StateDict old;
  for (const auto& [key, tensor] : module.state_dict()) {
    std::string name = key;
    if (name == "bn.weight") name = "gamma";
    if (name == "bn.bias") name = "beta";
    if (name.starts_with("bn.")) name = name.substr(3);
    old.set("conv1." + name, tensor);
  }
  auto other = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  other.bn.reset_parameters();
  EXPECT_TRUE(other.load_state_dict(old, "conv1.").ok());
  EXPECT_TRUE(equal(*other.bn.weight, *module.bn.weight));
  EXPECT_TRUE(equal(*other.bn.running_var, *module.bn.running_var));
  old.erase("conv1.gamma");
  EXPECT_THAT(message_of<ValueError>([&] { other.load_state_dict(old, "conv1."); }),
              HasSubstr("missing keys: conv1.bn.weight"));
}

TEST(Qat, FreezingHoldsThroughTrain) {
  auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const Tensor before = module.bn.running_mean->clone();
  module.freeze_bn_stats();
  module.train();
  module.forward(x);
  EXPECT_FALSE(module.bn.training);
  EXPECT_TRUE(equal(*module.bn.running_mean, before));
  module.update_bn_stats();
  module.forward(x);
  EXPECT_FALSE(equal(*module.bn.running_mean, before));
  module.eval();
  EXPECT_FALSE(module.bn.training);
  module.reset_running_stats();
  EXPECT_TRUE(equal(*module.bn.running_mean, Tensor::zeros({4}, float32)));
  const iqat::ConvBn2d frozen(3, 4, 3, 1, 0, 1, 1, false, "zeros", 1e-5, 0.1, true,
                              get_default_qat_qconfig());
  EXPECT_TRUE(frozen.freeze_bn);
  EXPECT_FALSE(frozen.bn.training);
}

// Without fake quantization both paths compute the same function; they differ in rounding.
TEST(Qat, TheSlowPathAgrees) {
  for (const bool training : {true, false}) {
    auto fast = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
    fast.train(training);
    std::dynamic_pointer_cast<FakeQuantize>(fast.weight_fake_quant)->disable_fake_quant();
    auto slow = fast.deep_copy();
    slow.enable_slow_path_for_better_numerical_stability = true;
    // The approximate path scales by the statistics before the batch, the slow one by those after.
    fast.bn.momentum = slow.bn.momentum = 0.0;
    const Tensor x = random_floats({2, 3, 6, 6}, 1);
    EXPECT_TRUE(near(fast.forward(x), slow.forward(x), 1e-5)) << training;
    EXPECT_EQ(slow.bn.num_batches_tracked->item(), training ? 1 : 0);
  }
}

TEST(Qat, TheSlowPathDividesByNoGain) {
  auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  module.bn.weight->mutable_data<float>()[1] = 0;
  module.enable_slow_path_for_better_numerical_stability = true;
  const Tensor y = module.forward(random_floats({2, 3, 6, 6}, 1));
  for (const float v : y.to_vector<float>()) ASSERT_TRUE(std::isfinite(v));
  const float shift = std::max(0.0F, module.bn.bias->data<float>()[1]);
  EXPECT_FLOAT_EQ(y.contiguous().select(0, 0).select(0, 1).to_vector<float>()[0], shift);
}

template <class Quantized, class Module>
void expect_folds_into_copies(Module module) {
  module.activation_post_process = module.qconfig->activation();
  module.forward(random_floats({2, 3, 6, 6}, 1));
  const StateDict before = module.state_dict();
  const Quantized q = Quantized::from_float(module);
  for (const auto& [key, tensor] : module.state_dict()) EXPECT_TRUE(equal(tensor, *before.find(key))) << key;
  const auto [weight, bias] = nn::fuse_conv_bn_weights(module, module.bn);
  EXPECT_TRUE(equal(*q.bias(), bias));
  EXPECT_TRUE(near(q.weight().dequantize(), weight, 0.05));
}

TEST(QatFromFloat, FoldsIntoCopies) {
  expect_folds_into_copies<nniq::ConvReLU2d>(iqat::ConvBnReLU2d::from_float(float_conv_bn_relu()));
  nni::ConvBn2d plain(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4));
  plain.qconfig = default_qat_qconfig_v2();
  expect_folds_into_copies<nnq::Conv2d>(iqat::ConvBn2d::from_float(plain));
}

TEST(QatFromFloat, RefusesByName) {
  auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  EXPECT_THAT(message_of<ValueError>([&] { nniq::ConvReLU2d::from_float(module, "stem"); }),
              StartsWith("stem: Input QAT module must have an activation_post_process attached"));
  module.activation_post_process = module.qconfig->activation();
  EXPECT_THAT(message_of<ValueError>([&] { nniq::ConvReLU2d::from_float(module, "stem"); }),
              StartsWith("stem: the activation observer (FusedMovingAvgObsFakeQuantize) has seen no data"));
  EXPECT_THAT(
      message_of<TypeError>([&] { nnq::Conv2d::from_float(module, "stem"); }),
      StartsWith("stem: a ConvBnReLU2d for quantization-aware training does not become a QuantizedConv2d"));
  EXPECT_THROW(nniq::ConvReLU1d::from_float(module), TypeError);
  module.forward(random_floats({2, 3, 6, 6}, 1));
  module.weight_fake_quant = module.qconfig->weight();
  std::dynamic_pointer_cast<FakeQuantize>(module.weight_fake_quant)->disable_observer();
  EXPECT_THAT(message_of<ValueError>([&] { nniq::ConvReLU2d::from_float(module, "stem"); }),
              HasSubstr("is disabled and has seen no weight"));
}

TEST(Qat, CloneSharesNothing) {
  auto module = iqat::ConvBnReLU2d::from_float(float_conv_bn_relu());
  const std::shared_ptr<nn::Module> copy = module.clone();
  EXPECT_EQ(copy->name(), "ConvBnReLU2d");
  const StateDict before = copy->state_dict();
  module.forward(random_floats({2, 3, 6, 6}, 1));
  for (const auto& [key, tensor] : copy->state_dict()) EXPECT_TRUE(equal(tensor, *before.find(key))) << key;
}

}  // namespace
}  // namespace qconv
