// The float modules: PyTorch's initial weights and printed text, options, observers, state.
#include <gmock/gmock.h>

#include "nn/module_kinds.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// First three and last weight, last two biases.
std::vector<float> sample(const nn::ConvNd& m) {
  const auto w = m.weight.to_vector<float>();
  const auto b = m.bias->to_vector<float>();
  return {w[0], w[1], w[2], w.back(), b[b.size() - 2], b.back()};
}

// torch 2.5.1: torch.manual_seed(20261124), then the module.
TEST(FloatConv, DrawsPyTorchsWeights) {
  nn::manual_seed(20261124);
  EXPECT_THAT(sample(nn::Conv2d(3, 4, 3)), ElementsAre(-0x1.bf39fap-4F, -0x1.e5fe76p-5F, -0x1.5151f8p-3F,
                                                       0x1.f447f4p-4F, 0x1.af7a7cp-4F, -0x1.0776aap-3F));
  nn::manual_seed(20261124);
  EXPECT_THAT(sample(nn::ConvTranspose1d(4, 6, 3, 1, 0, 0, 2)),
              ElementsAre(-0x1.834f3cp-3F, -0x1.a4e216p-4F, -0x1.2420bcp-2F, -0x1.8b2400p-7F, -0x1.8c64acp-6F,
                          -0x1.004334p-2F));
  nn::manual_seed(20261124);
  EXPECT_THAT(sample(nn::Conv3d(2, 2, 2)), ElementsAre(-0x1.227b6cp-3F, -0x1.3ba990p-4F, -0x1.b63118p-3F,
                                                       0x1.90d600p-4F, 0x1.827e9cp-3F, -0x1.3da9c0p-5F));
  nn::manual_seed(20261124);
  EXPECT_THAT(sample(nn::Conv1d(5, 3, 7)), ElementsAre(-0x1.88cdb2p-4F, -0x1.aada78p-5F, -0x1.28458ep-3F,
                                                       0x1.b8007cp-4F, -0x1.03a2eap-3F, 0x1.b766e2p-4F));
}

TEST(FloatConv, PrintsAsPyTorch) {
  EXPECT_EQ(
      nn::Conv2d(3, 8, 3, 1, "same", 1, 1, false, "reflect").to_string(),
      "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=same, bias=False, padding_mode=reflect)");
  EXPECT_EQ(nn::ConvTranspose2d(4, 8, 3, 2, 1, 1, 2, true, 2).to_string(),
            "ConvTranspose2d(4, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), "
            "output_padding=(1, 1), groups=2)");
  EXPECT_EQ(nni::ConvReLU2d(nn::Conv2d(3, 8, 3)).to_string(),
            "ConvReLU2d(\n  (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))\n  (1): ReLU()\n)");
  EXPECT_EQ(nni::ConvAdd2d(nn::Conv2d(3, 8, 3)).to_string(),
            "ConvAdd2d(\n  (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))\n)");
}

TEST(FloatConv, TakesOptions) {
  const nn::Conv2d conv({.in_channels = 3, .out_channels = 8, .kernel_size = {3, 5}, .padding = "same"});
  EXPECT_EQ(conv.weight.sizes(), (Shape{8, 3, 3, 5}));
  EXPECT_THAT(conv.padding, ElementsAre(1, 2));
  const nn::ConvTranspose1d up(
      {.in_channels = 4, .out_channels = 2, .kernel_size = 4, .stride = 2, .padding = 1});
  EXPECT_EQ(up.weight.sizes(), (Shape{4, 2, 4}));
  EXPECT_EQ(up.forward(random_floats({1, 4, 5}, 1)).sizes(), (Shape{1, 2, 10}));
  const nn::Conv1d even({.in_channels = 1, .out_channels = 1, .kernel_size = 4, .padding = "same"});
  EXPECT_THAT(even.padding, ElementsAre(1, 2));
}

TEST(FloatConv, RefusesWhatNoInputCouldMakeValid) {
  const auto message = [](const auto& make) {
    try {
      make();
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_THAT(message([] { nn::Conv2d(3, 8, 3, 1, 0, 1, 2); }),
              HasSubstr("Conv2d: in_channels must be divisible by groups"));
  EXPECT_THAT(message([] { nn::Conv2d(3, 8, 3, 0); }), HasSubstr("stride must be at least 1"));
  EXPECT_THAT(message([] { nn::Conv2d(3, 8, 3, 2, "same"); }), HasSubstr("padding='same' needs stride 1"));
  EXPECT_THAT(message([] { nn::Conv2d(3, 8, {3}); }), HasSubstr("kernel_size should contain 2 elements"));
  EXPECT_THAT(message([] { nn::Conv2d(3, 8, 3, 1, 0, 1, 1, true, "mirror"); }),
              HasSubstr("padding_mode 'mirror'"));
  EXPECT_THAT(message([] { nn::Conv2d({.in_channels = 3, .out_channels = 8}); }),
              HasSubstr("kernel_size must be at least 1"));
  EXPECT_THAT(message([] { nn::ConvTranspose2d(3, 8, 3, 1, 0, 0, 1, true, 1, "reflect"); }),
              HasSubstr("ConvTranspose2d: transposed convolutions have padding_mode 'zeros' only"));
  EXPECT_THAT(message([] { nn::ConvTranspose2d(3, 8, 3, 1, 0, 1); }),
              HasSubstr("output_padding must be smaller"));
}

TEST(FloatConv, ShowsItsOutputToTheObserver) {
  nn::Conv1d conv(2, 3, 3);
  auto observer = std::make_shared<MinMaxObserver>();
  conv.activation_post_process = observer;
  const auto y = conv.forward(random_floats({2, 2, 9}, 4)).to_vector<float>();
  EXPECT_EQ(observer->min_val(), *std::min_element(y.begin(), y.end()));
  EXPECT_EQ(observer->max_val(), *std::max_element(y.begin(), y.end()));
}

TEST(FloatConv, FusedModulesShowWhatFollowsTheReLU) {
  nni::ConvReLU1d fused(nn::Conv1d(2, 3, 3));
  auto observer = std::make_shared<MinMaxObserver>();
  fused.activation_post_process = observer;
  fused.forward(random_floats({2, 2, 9}, 4));
  EXPECT_GE(observer->min_val(), 0.0F);
  nni::ConvAdd2d sum(nn::Conv2d(2, 3, 3));
  EXPECT_THROW(sum.forward(random_floats({1, 2, 5, 5}, 1), random_floats({1, 3, 3, 4}, 2)), ValueError);
}

TEST(FloatConv, StateGoesRoundWithTheObserver) {
  nni::ConvReLU1d fused(nn::Conv1d(2, 3, 3));
  fused.activation_post_process = std::make_shared<MinMaxObserver>();
  fused.forward(random_floats({2, 2, 9}, 4));
  nni::ConvReLU1d other(nn::Conv1d(2, 3, 3));
  EXPECT_THAT(other.load_state_dict(fused.state_dict("a."), "a.", false).unexpected_keys,
              ::testing::Contains("a.activation_post_process.min_val"));
  other.activation_post_process = std::make_shared<MinMaxObserver>();
  other.load_state_dict(fused.state_dict("a."), "a.");
  EXPECT_TRUE(equal(other.conv.weight, fused.conv.weight));
  EXPECT_EQ(other.activation_post_process->to_string(), fused.activation_post_process->to_string());
  StateDict damaged = fused.state_dict();
  damaged.set("activation_post_process.min_val", random_floats({2, 2}, 1));
  damaged.erase("0.bias");
  const nn::LoadResult report = other.load_state_dict(damaged, "", false);
  EXPECT_THAT(report.missing_keys, ElementsAre("0.bias"));
  EXPECT_EQ(report.mismatched.size(), 1U);
}

TEST(FloatConv, CopiesShareAndDeepCopiesDoNot) {
  nn::Conv1d conv(2, 3, 3);
  conv.activation_post_process = std::make_shared<MinMaxObserver>();
  const nn::Conv1d shallow = conv;
  const nn::Conv1d deep = conv.deep_copy();
  EXPECT_EQ(shallow.weight.raw_data(), conv.weight.raw_data());
  EXPECT_NE(deep.weight.raw_data(), conv.weight.raw_data());
  EXPECT_TRUE(equal(deep.weight, conv.weight));
  conv.forward(random_floats({2, 2, 9}, 4));
  EXPECT_TRUE(shallow.activation_post_process->calibrated());
  EXPECT_FALSE(deep.activation_post_process->calibrated());
}

}  // namespace
}  // namespace qconv
