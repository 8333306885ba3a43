// BatchNorm, the fused float modules and folding: what they refuse, and that folding leaves its source alone.
#include <gmock/gmock.h>

#include <qconv/functional.hpp>
#include <qconv/nn/fusion.hpp>

#include "nn/module_kinds.hpp"
#include "nn/training_support.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(BatchNorm, StartsAsIdentityAndPrintsAsPyTorch) {
  const nn::BatchNorm2d bn(3);
  EXPECT_EQ(bn.to_string(), "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)");
  nn::BatchNorm2d eval(3, 0.0);
  eval.eval();
  const Tensor x = random_floats({2, 3, 4, 5}, 1);
  EXPECT_TRUE(equal(eval.forward(x), x));
  EXPECT_EQ(nn::BatchNorm1d(2, 1e-5, std::nullopt, false, false).state_dict().size(), 0U);
}

TEST(BatchNorm, NormalizesTheBatchInTraining) {
  nn::BatchNorm1d bn(4, 1e-5, 1.0);
  const Tensor x = random_floats({16, 4}, 3, -5, 3);
  const auto [mean, variance] = functional::channel_statistics(bn.forward(x));
  for (int c = 0; c < 4; ++c) {
    EXPECT_NEAR(mean.data<float>()[c], 0, 1e-6);
    EXPECT_NEAR(variance.data<float>()[c], 1, 1e-4);
  }
  const auto batch = functional::channel_statistics(x);
  EXPECT_TRUE(near(*bn.running_mean, batch.mean, 1e-6));
  EXPECT_EQ(bn.num_batches_tracked->item(), 1);
  bn.eval();
  EXPECT_EQ(bn.num_batches_tracked->item(), 1);
}

TEST(BatchNorm, RefusesWhatItCannotNormalize) {
  EXPECT_THAT(message_of<ValueError>([] { nn::BatchNorm2d(0); }), StartsWith("BatchNorm2d: num_features"));
  EXPECT_THAT(message_of<ValueError>([] { nn::BatchNorm2d(3, -1); }), HasSubstr("eps"));
  EXPECT_THAT(message_of<ValueError>([] { nn::BatchNorm2d(3, 1e-5, 2); }), HasSubstr("momentum"));
  const nn::BatchNorm2d bn(3);
  EXPECT_THAT(message_of<ValueError>([&] {
                bn.forward(random_floats({2, 3, 4}, 1));
              }),
              HasSubstr("expected 4D input, got sizes (2, 3, 4)"));
  EXPECT_THAT(message_of<ValueError>([&] {
                bn.forward(random_floats({2, 4, 4, 4}, 1));
              }),
              HasSubstr("expected 3 channels"));
  EXPECT_THAT(message_of<ValueError>([&] {
                bn.forward(random_floats({1, 3, 1, 1}, 1));
              }),
              HasSubstr("Expected more than 1 value per channel when training"));
  EXPECT_THAT(message_of<TypeError>([&] {
                bn.forward(Tensor::zeros({1, 3, 4, 4}, int32));
              }),
              HasSubstr("expected a float32 tensor, got int32"));
}

TEST(BatchNorm, StateMayLackTheCounterOfOldFiles) {
  nn::BatchNorm3d from(2);
  from.forward(random_floats({2, 2, 3, 3, 3}, 5));
  StateDict state = from.state_dict("bn.");
  state.erase("bn.num_batches_tracked");
  nn::BatchNorm3d to(2);
  EXPECT_TRUE(to.load_state_dict(state, "bn.").ok());
  EXPECT_TRUE(equal(*to.running_var, *from.running_var));
  EXPECT_EQ(to.num_batches_tracked->item(), 0);
  state.erase("bn.running_var");
  EXPECT_THAT(message_of<ValueError>([&] { to.load_state_dict(state, "bn."); }),
              HasSubstr("missing keys: bn.running_var"));
}

TEST(BatchNorm, CopiesShareAndDeepCopiesDoNot) {
  const nn::BatchNorm2d bn(2);
  const nn::BatchNorm2d copy(bn);
  const nn::BatchNorm2d deep = bn.deep_copy();
  copy.forward(random_floats({2, 2, 3, 3}, 7));
  EXPECT_TRUE(equal(*bn.running_mean, *copy.running_mean));
  EXPECT_FALSE(equal(*bn.running_mean, *deep.running_mean));
}

TEST(FusedConv, BatchNormIsTheSecondPart) {
  const nni::ConvBnReLU2d fused(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4));
  EXPECT_EQ(fused.name(), "ConvBnReLU2d");
  EXPECT_THAT(fused.to_string(), HasSubstr("(1): BatchNorm2d(4"));
  EXPECT_THAT(fused.to_string(), HasSubstr("(2): ReLU()"));
  const StateDict state = fused.state_dict();
  EXPECT_NE(state.find("0.weight"), nullptr);
  EXPECT_NE(state.find("1.running_var"), nullptr);
  const Tensor x = random_floats({2, 3, 6, 6}, 4);
  EXPECT_TRUE(equal(fused.forward(x), functional::relu(fused.bn.forward(fused.conv.forward(x)))));
  nni::ConvBnReLU2d other(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4));
  EXPECT_TRUE(other.load_state_dict(state).ok());
  EXPECT_TRUE(equal(other.conv.weight, fused.conv.weight));
  EXPECT_THROW(nni::ConvBn2d(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(5)), ValueError);
}

TEST(FusedConv, TrainReachesTheParts) {
  nni::ConvBn1d fused(nn::Conv1d(3, 4, 3), nn::BatchNorm1d(4));
  fused.eval();
  EXPECT_FALSE(fused.conv.training);
  EXPECT_FALSE(fused.bn.training);
  fused.train();
  EXPECT_TRUE(fused.bn.training);
}

template <class Conv, class Norm>
void expect_folded(Conv conv, Norm bn, const Shape& input) {
  randomize(bn, 11);
  conv.eval();
  bn.eval();
  const Tensor weight = conv.weight.clone();
  const Conv fused = nn::fuse_conv_bn_eval(conv, bn);
  EXPECT_TRUE(equal(conv.weight, weight)) << "the source changed";
  const Tensor x = random_floats(input, 12);
  EXPECT_TRUE(near(fused.forward(x), bn.forward(conv.forward(x)), 2e-5));
}

TEST(Fusion, TheFoldedConvolutionDoesBoth) {
  expect_folded(nn::Conv1d(4, 6, 3, 1, 1, 1, 2), nn::BatchNorm1d(6), {2, 4, 9});
  expect_folded(nn::Conv2d(4, 6, 3, 2, 1, 1, 2, false), nn::BatchNorm2d(6), {2, 4, 7, 8});
  expect_folded(nn::Conv3d(4, 6, 2), nn::BatchNorm3d(6), {1, 4, 4, 5, 3});
  expect_folded(nn::ConvTranspose1d(4, 6, 3, 2, 1, 1), nn::BatchNorm1d(6), {2, 4, 9});
  expect_folded(nn::ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), nn::BatchNorm2d(6), {2, 4, 5, 4});
  expect_folded(nn::ConvTranspose3d(6, 9, 2, 1, 0, 0, 3, false), nn::BatchNorm3d(9), {1, 6, 2, 3, 2});
}

TEST(Fusion, RefusesWhatDoesNotFit) {
  nn::Conv2d conv(3, 4, 3);
  nn::BatchNorm2d bn(4);
  EXPECT_THAT(message_of<ValueError>([&] { nn::fuse_conv_bn_eval(conv, bn); }), HasSubstr("eval"));
  conv.eval();
  nn::BatchNorm2d untracked(4, 1e-5, 0.1, true, false);
  untracked.eval();
  EXPECT_THAT(message_of<ValueError>([&] { nn::fuse_conv_bn_eval(conv, untracked); }),
              HasSubstr("no running statistics"));
  nn::BatchNorm2d wide(5);
  wide.eval();
  EXPECT_THAT(message_of<ValueError>([&] { nn::fuse_conv_bn_eval(conv, wide); }),
              HasSubstr("a BatchNorm2d of 5 features cannot follow a Conv2d of 4 output channels"));
  const Tensor w = random_floats({4, 3, 3, 3}, 1);
  const Tensor four = random_floats({4}, 2, 0.5F, 1);
  EXPECT_THAT(message_of<ValueError>(
                  [&] { nn::fuse_conv_bn_weights(w, {}, four, random_floats({3}, 1), 0, {}, {}); }),
              HasSubstr("bn_var must have 4 elements"));
  EXPECT_THAT(
      message_of<ValueError>([&] { nn::fuse_conv_bn_weights(w, {}, four, four, 0, {}, {}, true, 3); }),
      HasSubstr("3 groups do not divide"));
}

}  // namespace
}  // namespace qconv
