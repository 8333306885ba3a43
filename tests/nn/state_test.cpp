// Loading: everything that is wrong is reported at once, and a failed load changes nothing.
#include <gmock/gmock.h>

#include "nn/module_kinds.hpp"
#include "nn/python_repr.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

nnq::Conv2d module() {
  nnq::Conv2d m(2, 3, 3);
  m.set_weight_bias(quantize_per_tensor(random_floats({3, 2, 3, 3}, 1), 0.01, 0, qint8),
                    random_floats({3}, 2));
  m.scale = 0.25;
  m.zero_point = 7;
  return m;
}

TEST(LoadStateDict, ReportsEverythingAtOnce) {
  const nnq::Conv2d source = module();
  StateDict state = source.state_dict("net.conv.");
  state.erase("net.conv.scale");
  state.set("net.conv.weight", quantize_per_tensor(random_floats({3, 2, 5, 5}, 1), 0.01, 0, qint8));
  state.set("net.conv.extra", Tensor::scalar(1.0F));
  state.set("net.other.weight", Tensor::scalar(1.0F));  // somebody else's
  nnq::Conv2d m = module();
  const std::string before = m.to_string();
  try {
    m.load_state_dict(state, "net.conv.");
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(),
                 "QuantizedConv2d.load_state_dict: missing keys: net.conv.scale; unexpected keys: "
                 "net.conv.extra; unusable entries: net.conv.weight: got qint8 (3, 2, 5, 5), expected "
                 "qint8 (3, 2, 3, 3)");
  }
  EXPECT_EQ(m.to_string(), before);

  const nn::LoadResult report = m.load_state_dict(state, "net.conv.", false);
  EXPECT_THAT(report.missing_keys, ElementsAre("net.conv.scale"));
  EXPECT_THAT(report.unexpected_keys, ElementsAre("net.conv.extra"));
  EXPECT_THAT(report.mismatched, ElementsAre(StartsWith("net.conv.weight: ")));
  EXPECT_FALSE(report.ok());
}

TEST(LoadStateDict, AFailedStrictLoadChangesNothing) {
  nnq::Conv2d m(2, 3, 3);
  StateDict state = module().state_dict();
  state.set("scale", Tensor::scalar(-1.0F));
  EXPECT_THROW(m.load_state_dict(state), ValueError);
  EXPECT_TRUE(equal(m.weight().int_repr(), Tensor::zeros({3, 2, 3, 3}, int8)));
  // Not strict: the rest is loaded.
  const nn::LoadResult report = m.load_state_dict(state, "", false);
  EXPECT_THAT(report.mismatched, ElementsAre(HasSubstr("scale: got -1, expected a number in")));
  EXPECT_TRUE(equal(m.weight(), module().weight()));
  EXPECT_EQ(m.zero_point, 7);
  EXPECT_EQ(m.scale, 1.0);
}

TEST(LoadStateDict, RefusesUnusableValues) {
  nnq::Conv2d m(2, 3, 3);
  const auto reason = [&](const std::string& key, const Tensor& tensor) {
    StateDict state = module().state_dict();
    state.set(key, tensor);
    const nn::LoadResult report = m.load_state_dict(state, "", false);
    return report.mismatched.empty() ? std::string("nothing") : report.mismatched[0];
  };
  EXPECT_THAT(reason("scale", Tensor::scalar(std::numeric_limits<float>::quiet_NaN())),
              StartsWith("scale: "));
  EXPECT_THAT(reason("scale", Tensor()), StartsWith("scale: got None, expected one number"));
  EXPECT_THAT(reason("scale", Tensor::zeros({2}, float32)), StartsWith("scale: got float32 (2,)"));
  EXPECT_THAT(reason("zero_point", Tensor::scalar(std::int64_t{300})), StartsWith("zero_point: got 300"));
  EXPECT_THAT(reason("zero_point", Tensor::scalar(0.5F)),
              StartsWith("zero_point: got 0.5, expected an integer"));
  EXPECT_THAT(reason("zero_point", Tensor::scalar(1e300)), StartsWith("zero_point: got 1e+300"));
  EXPECT_THAT(reason("weight", Tensor()), StartsWith("weight: got None"));
  EXPECT_THAT(reason("weight", random_floats({3, 2, 3, 3}, 1)), StartsWith("weight: got float32"));
  EXPECT_THAT(reason("weight", quantize_per_channel(random_floats({3, 2, 3, 3}, 1), std::vector<double>{1, 1},
                                                    std::vector<std::int64_t>{0, 0}, 1, qint8)),
              HasSubstr("must have axis 0"));
  EXPECT_THAT(reason("bias", random_floats({4}, 1)),
              StartsWith("bias: got float32 (4,), expected float32 (3,)"));
  EXPECT_THAT(reason("bias", Tensor::from_data(
                                 std::vector<float>{0, 0, std::numeric_limits<float>::infinity()}, {3})),
              HasSubstr("bias holds inf"));
}

TEST(LoadStateDict, TheBiasMayBeNone) {
  nnq::Conv2d m = module();
  StateDict state = m.state_dict();
  state.set("bias", Tensor());
  m.load_state_dict(state);
  EXPECT_FALSE(m.bias());
  EXPECT_FALSE(m.state_dict().find("bias")->defined());
  // Files that know no None leave the entry out: right for a module without bias, missing for one with.
  state.erase("bias");
  EXPECT_TRUE(m.load_state_dict(state).ok());
  nnq::Conv2d with_bias(2, 3, 3);
  EXPECT_THAT(with_bias.load_state_dict(state, "", false).missing_keys, ElementsAre("bias"));
}

TEST(SetState, RefusesAnotherClassesState) {
  nnq::ConvState state = module().getstate();
  EXPECT_THROW(nnq::Conv3d::from_state(state), ValueError);
  EXPECT_THROW(nnq::ConvTranspose2d::from_state(state), ValueError);
  EXPECT_EQ(nniq::ConvReLU2d::from_state(state).name(), "QuantizedConvReLU2d");
  state.stride = {1};
  EXPECT_THROW(nnq::Conv2d::from_state(state), ValueError);
  state = module().getstate();
  state.scale = 0;
  EXPECT_THROW(nnq::Conv2d::from_state(state), ValueError);
  state = module().getstate();
  state.weight = Tensor();
  EXPECT_THROW(nnq::Conv2d::from_state(state), ValueError);
}

TEST(SetState, KeepsTheRuleAndTheEngine) {
  nnq::Conv2d m = module();
  m.set_weight_bias(m.weight(), m.bias(), RequantRule::qnnpack, "reference");
  for (const nnq::Conv2d& again : {nnq::Conv2d::from_state(m.getstate()), m.copy(), m.deep_copy()}) {
    EXPECT_EQ(again.packed_params()->rule(), RequantRule::qnnpack);
    EXPECT_EQ(again.packed_params()->engine(), "reference");
  }
}

TEST(SetWeightBias, ChecksBoth) {
  nnq::Conv2d m(2, 3, 3);
  const Tensor w = quantize_per_tensor(random_floats({3, 2, 3, 3}, 1), 0.01, 0, qint8);
  EXPECT_THROW(m.set_weight_bias(quantize_per_tensor(random_floats({3, 2, 3, 4}, 1), 0.01, 0, qint8), {}),
               ValueError);
  EXPECT_THROW(m.set_weight_bias(quantize_per_tensor(random_floats({3, 2, 3, 3}, 1), 0.01, 0, quint8), {}),
               TypeError);
  EXPECT_THROW(m.set_weight_bias(random_floats({3, 2, 3, 3}, 1), {}), TypeError);
  EXPECT_THROW(m.set_weight_bias(w, random_floats({2}, 1)), ValueError);
  EXPECT_THROW(m.set_weight_bias(w, Tensor::zeros({3}, int32)), TypeError);
  m.set_weight_bias(w, {}, RequantRule::qnnpack, "reference");
  EXPECT_EQ(m.packed_params()->engine(), "reference");
  EXPECT_EQ(m.deep_copy().packed_params()->rule(), RequantRule::qnnpack);
}

TEST(NewModules, HoldZerosAndScaleOne) {
  const nnq::ConvTranspose3d m(4, 6, 2, 2, 0, 0, 2);
  EXPECT_EQ(m.weight().sizes(), (Shape{4, 3, 2, 2, 2}));
  EXPECT_EQ(m.weight().q_scale(), 1.0);
  EXPECT_TRUE(equal(m.weight().int_repr(), Tensor::zeros({4, 3, 2, 2, 2}, int8)));
  EXPECT_TRUE(equal(*m.bias(), Tensor::zeros({6}, float32)));
  EXPECT_TRUE(m.training);
  EXPECT_EQ(
      m.to_string(),
      "QuantizedConvTranspose3d(4, 6, kernel_size=(2, 2, 2), stride=(2, 2, 2), scale=1.0, zero_point=0, "
      "groups=2)");
  EXPECT_THROW(nnq::Conv2d(3, 8, 3, 1, 0, 1, 2), ValueError);
  EXPECT_EQ(nnq::Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .bias = false}).extra_repr(),
            "3, 8, kernel_size=(3, 3), stride=(1, 1), scale=1.0, zero_point=0, bias=False");
}

TEST(PythonRepr, PrintsNumbersAsPythonDoes) {
  EXPECT_EQ(nn::python_float(0.1), "0.1");
  EXPECT_EQ(nn::python_float(0.1F), "0.10000000149011612");
  EXPECT_EQ(nn::python_float(2), "2.0");
  EXPECT_EQ(nn::python_float(-3), "-3.0");
  EXPECT_EQ(nn::python_float(1e-5), "1e-05");
  EXPECT_EQ(nn::python_float(0.0001), "0.0001");
  EXPECT_EQ(nn::python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(nn::python_float(1e16), "1e+16");
  EXPECT_EQ(nn::python_float(1.5e-7), "1.5e-07");
  EXPECT_EQ(nn::python_float(5e-324), "5e-324");
  EXPECT_EQ(nn::python_float(123456789), "123456789.0");
  EXPECT_EQ(nn::python_float(std::numeric_limits<double>::infinity()), "inf");
}

}  // namespace
}  // namespace qconv
