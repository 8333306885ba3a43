// Folding a batch normalization into a convolution equals PyTorch to the bit; the normalization itself
// agrees, over several steps of training and evaluation (tests/golden/folding.py).
#include <qconv/nn/fusion.hpp>

#include "nn/training_support.hpp"
#include "support/golden.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using nlohmann::json;

void expect_fold(const json& c, const GoldenBlob& blob) {
  const auto [weight, bias] =
      nn::fuse_conv_bn_weights(blob.tensor<float>(c.at("weight")), blob.optional_tensor<float>(c, "bias"),
                               blob.tensor<float>(c.at("mean")), blob.tensor<float>(c.at("var")), c.at("eps"),
                               blob.optional_tensor<float>(c, "gain"),
                               blob.optional_tensor<float>(c, "shift"), c.at("transposed"), c.at("groups"));
  EXPECT_TRUE(equal(weight, blob.tensor<float>(c.at("fused_weight"))));
  EXPECT_TRUE(equal(bias, blob.tensor<float>(c.at("fused_bias"))));
}

StateDict norm_state(const json& entries, const GoldenBlob& blob) {
  StateDict state;
  for (const auto& [key, record] : entries.items()) {
    if (key == "num_batches_tracked") {
      state.set(key, blob.tensor<std::int64_t>(record));
    } else {
      state.set(key, blob.tensor<float>(record));
    }
  }
  return state;
}

template <class Norm>
void expect_steps(const json& c, const GoldenBlob& blob) {
  const auto momentum =
      c.at("momentum").is_null() ? std::nullopt : std::optional(c.at("momentum").get<double>());
  Norm bn(5, 1e-5, momentum, c.at("affine"), c.at("tracked"));
  ASSERT_TRUE(bn.load_state_dict(norm_state(c.at("before"), blob)).ok());
  for (const json& step : c.at("steps")) {
    bn.train(step.at("training"));
    EXPECT_TRUE(near(bn.forward(blob.tensor<float>(step.at("x"))), blob.tensor<float>(step.at("y")), 2e-6));
    const StateDict after = norm_state(step.at("after"), blob);
    const StateDict state = bn.state_dict();
    EXPECT_EQ(state.size(), after.size());
    for (const auto& [key, tensor] : after) {
      ASSERT_NE(state.find(key), nullptr) << key;
      if (tensor.dtype() == int64) {
        EXPECT_TRUE(equal(*state.find(key), tensor));
      } else {
        EXPECT_TRUE(near(*state.find(key), tensor, 1e-6)) << key;
      }
    }
  }
}

TEST(GoldenFolding, EqualsPyTorch) {
  const GoldenBlob blob("folding");
  int folds = 0;
  int steps = 0;
  const json document = golden_json("folding");
  for (const json& c : document.at("cases")) {
    SCOPED_TRACE(c.dump().substr(0, 200));
    if (c.contains("fused_weight")) {
      expect_fold(c, blob);
      ++folds;
      continue;
    }
    ++steps;
    if (c.at("dims") == 1) expect_steps<nn::BatchNorm1d>(c, blob);
    if (c.at("dims") == 2) expect_steps<nn::BatchNorm2d>(c, blob);
    if (c.at("dims") == 3) expect_steps<nn::BatchNorm3d>(c, blob);
  }
  EXPECT_EQ(folds, 36);
  EXPECT_EQ(steps, 9);
}

}  // namespace
}  // namespace qconv
