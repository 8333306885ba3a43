// PyTorch's test_conv{1,2,3}d_api for every class: the module against the operators, the saved state, copies,
// from_float through observers, and what it prints.
#include <gmock/gmock.h>

#include "nn/module_kinds.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Tensor quantized_weight(const nn::ConvAttributes& m, bool per_channel) {
  const Tensor w = random_floats(m.geometry("test").weight_sizes(), 3);
  if (!per_channel) return quantize_per_tensor(w, 0.5 / 64, 3, qint8);
  const int axis = m.transposed ? 1 : 0;
  std::vector<double> scales;
  std::vector<std::int64_t> zero_points;
  for (std::int64_t i = 0; i < w.size(axis); ++i) {
    scales.push_back(0.5 / static_cast<double>(64 + i));
    zero_points.push_back(i - 2);
  }
  return quantize_per_channel(w, scales, zero_points, axis, qint8);
}

// The functional form of the module: pack and run by hand.
template <class K>
Tensor functional_form(const typename K::Quantized& m, const Tensor& x) {
  const ops::PrepackOptions options{.padding_mode = m.padding_mode};
  const Tensor w = m.weight();
  const ops::Bias b = m.bias();
  if constexpr (K::kind.transposed) {
    constexpr auto prepack = K::kind.ndim == 1   ? ops::conv_transpose1d_prepack
                             : K::kind.ndim == 2 ? ops::conv_transpose2d_prepack
                                                 : ops::conv_transpose3d_prepack;
    constexpr auto conv = K::kind.ndim == 1   ? ops::conv_transpose1d
                          : K::kind.ndim == 2 ? ops::conv_transpose2d
                                              : ops::conv_transpose3d;
    return conv(x, prepack(w, b, m.stride, m.padding, m.output_padding, m.dilation, m.groups, options),
                m.scale, m.zero_point, std::nullopt);
  } else {
    constexpr auto prepack = K::kind.ndim == 1   ? ops::conv1d_prepack
                             : K::kind.ndim == 2 ? ops::conv2d_prepack
                                                 : ops::conv3d_prepack;
    const PackedParams packed = prepack(w, b, m.stride, m.padding, m.dilation, m.groups, options);
    if constexpr (K::adds) {
      constexpr auto conv = K::kind.post_op == PostOp::add ? ops::conv2d_add : ops::conv2d_add_relu;
      return conv(x, extra_for(m, x), packed, m.scale, m.zero_point);
    } else {
      constexpr bool relu = K::kind.post_op == PostOp::relu;
      constexpr auto conv = K::kind.ndim == 1   ? (relu ? ops::conv1d_relu : ops::conv1d)
                            : K::kind.ndim == 2 ? (relu ? ops::conv2d_relu : ops::conv2d)
                                                : (relu ? ops::conv3d_relu : ops::conv3d);
      return conv(x, packed, m.scale, m.zero_point, std::nullopt);
    }
  }
}

template <class K>
class ModuleApi : public ::testing::Test {
 public:
  // A module with weights, and an input to run it on.
  typename K::Quantized module(bool bias = true, bool per_channel = true,
                               PaddingMode mode = PaddingMode::zeros) const {
    auto m = make_conv<typename K::Quantized>(bias, mode);
    m.set_weight_bias(quantized_weight(m, per_channel),
                      bias ? std::optional(random_floats({6}, 7)) : std::nullopt);
    m.scale = 0.03;
    m.zero_point = 4;
    return m;
  }
  Tensor input(DType dtype = quint8) const {
    return quantize_per_tensor(random_floats(input_sizes(K::kind.ndim, 6), 5), 1.3 / 128,
                               dtype == quint8 ? 120 : -5, dtype);
  }
};
TYPED_TEST_SUITE(ModuleApi, AllKinds);

TYPED_TEST(ModuleApi, EqualsTheOperators) {
  for (const bool bias : {false, true}) {
    for (const bool per_channel : {false, true}) {
      for (const DType dtype : {quint8, qint8}) {
        for (const PaddingMode mode :
             {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
          if (TypeParam::kind.transposed && mode != PaddingMode::zeros) continue;
          const auto m = this->module(bias, per_channel, mode);
          const Tensor x = this->input(dtype);
          const Tensor y = run_module(m, x);
          EXPECT_EQ(y.dtype(), dtype);
          EXPECT_EQ(y.q_scale(), 0.03);
          EXPECT_TRUE(equal(y, functional_form<TypeParam>(m, x)));
        }
      }
    }
  }
}

TYPED_TEST(ModuleApi, StateDictGoesRound) {
  const auto m = this->module();
  const StateDict state = m.state_dict("layer.");
  EXPECT_EQ(state.size(), 4U);
  EXPECT_EQ(state.find("layer.scale")->dtype(), float32);
  EXPECT_EQ(state.find("layer.scale")->dim(), 0);
  EXPECT_EQ(state.find("layer.zero_point")->dtype(), int64);
  EXPECT_EQ(state.find("layer.zero_point")->dim(), 0);
  auto other = make_conv<typename TypeParam::Quantized>();
  other.load_state_dict(state, "layer.");
  EXPECT_TRUE(equal(other.weight(), m.weight()));
  EXPECT_TRUE(equal(*other.bias(), *m.bias()));
  EXPECT_EQ(other.scale, 0.03F);  // the entry is float32, as in PyTorch
  EXPECT_EQ(other.zero_point, m.zero_point);
  EXPECT_TRUE(equal(run_module(other, this->input()).int_repr(), run_module(m, this->input()).int_repr()));
}

TYPED_TEST(ModuleApi, StateTupleGoesRound) {
  auto m = this->module(false);
  m.training = false;
  const nnq::ConvState state = m.getstate();
  EXPECT_FALSE(state.bias);
  const auto other = TypeParam::Quantized::from_state(state);
  EXPECT_EQ(static_cast<const nn::ConvAttributes&>(other), static_cast<const nn::ConvAttributes&>(m));
  EXPECT_FALSE(other.training);
  EXPECT_EQ(other.to_string(), m.to_string());
  EXPECT_TRUE(equal(run_module(other, this->input()), run_module(m, this->input())));
}

TYPED_TEST(ModuleApi, CopiesAreEqualAndIndependent) {
  auto m = this->module();
  m.qconfig = default_qconfig();
  m.training = false;
  for (const auto& copied : {m.copy(), m.deep_copy()}) {
    EXPECT_EQ(copied.to_string(), m.to_string());
    EXPECT_TRUE(copied.qconfig.has_value());
    EXPECT_FALSE(copied.training);
    EXPECT_TRUE(equal(run_module(copied, this->input()), run_module(m, this->input())));
  }
  auto copied = m.copy();
  copied.scale = 0.5;
  copied.set_weight_bias(quantized_weight(m, false), std::nullopt);
  EXPECT_EQ(m.scale, 0.03);
  EXPECT_TRUE(m.bias().has_value());
  EXPECT_EQ(m.copy().packed_params(), m.packed_params());
  EXPECT_NE(m.deep_copy().packed_params(), m.packed_params());
}

TYPED_TEST(ModuleApi, WhatItGivesOutIsACopy) {
  const auto m = this->module();
  const Tensor before = run_module(m, this->input());
  Tensor w = m.weight();
  std::fill_n(w.template mutable_data<std::int8_t>(), w.numel(), std::int8_t{1});
  Tensor saved = *m.state_dict().find("weight");
  std::fill_n(saved.template mutable_data<std::int8_t>(), saved.numel(), std::int8_t{2});
  EXPECT_TRUE(equal(run_module(m.deep_copy(), this->input()), before));
}

TYPED_TEST(ModuleApi, FromFloatThroughObservers) {
  nn::manual_seed(1);
  auto f = make_float<TypeParam>();
  f.qconfig = default_per_channel_qconfig();
  f.activation_post_process = f.qconfig->activation();
  const Tensor x = random_floats(input_sizes(TypeParam::kind.ndim, 6), 11);
  const Tensor extra = random_floats(input_sizes(2, 6, 4), 12);
  Tensor y;
  if constexpr (TypeParam::adds) {
    y = f.forward(x, extra);
  } else {
    y = f.forward(x);
  }
  const StateDict before = f.state_dict();
  const auto q = TypeParam::Quantized::from_float(f);
  const ObservedQParams observed = f.activation_post_process->calculate_qparams();
  EXPECT_EQ(q.scale, observed.qparams.scales[0]);
  EXPECT_EQ(q.zero_point, observed.qparams.zero_points[0]);
  EXPECT_EQ(q.weight().q_per_channel_axis(), TypeParam::kind.transposed ? 1 : 0);
  for (const auto& [key, tensor] : f.state_dict()) EXPECT_TRUE(equal(tensor, *before.find(key))) << key;

  // In int8 it does about what the float module does.
  const Tensor qx = quantize_per_tensor(x, 2.0 / 255, 128, quint8);
  Tensor qy;
  if constexpr (TypeParam::adds) {
    qy = q.forward(qx, quantize_per_tensor(extra, 2.0 / 255, 128, quint8));
  } else {
    qy = q.forward(qx);
  }
  const auto expected = y.to_vector<float>();
  const auto actual = qy.dequantize().template to_vector<float>();
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 0.05);
}

TYPED_TEST(ModuleApi, Prints) {
  const int n = TypeParam::kind.ndim;
  const std::string threes = n == 1 ? "(3,)" : n == 2 ? "(3, 3)" : "(3, 3, 3)";
  const std::string twos = n == 1 ? "(2,)" : n == 2 ? "(2, 2)" : "(2, 2, 2)";
  const std::string ones = n == 1 ? "(1,)" : n == 2 ? "(1, 1)" : "(1, 1, 1)";
  EXPECT_EQ(this->module().to_string(), nnq::quantized_name(TypeParam::kind) +
                                            "(6, 6, kernel_size=" + threes + ", stride=" + twos +
                                            ", scale=0.03, zero_point=4, padding=" + ones + ", groups=3)");
  EXPECT_THAT(this->module(false).extra_repr(), EndsWith(", groups=3, bias=False"));
}

TYPED_TEST(ModuleApi, RefusesInputsOfOtherShapes) {
  const auto m = this->module();
  const Tensor flat = quantize_per_tensor(random_floats({2, 6}, 1), 0.1, 0, quint8);
  try {
    if constexpr (TypeParam::adds) {
      m.forward(flat, flat);
    } else {
      m.forward(flat);
    }
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), StartsWith(m.name() + ": Input shape must be `(N, C, "));
    EXPECT_THAT(error.what(), HasSubstr("(2, 6)"));
  }
}

TYPED_TEST(ModuleApi, AnEmptyBatchIsLegal) {
  const auto m = this->module();
  const Tensor x =
      quantize_per_tensor(Tensor::zeros(input_sizes(TypeParam::kind.ndim, 6, 8, 0), float32), 0.1, 0, quint8);
  EXPECT_EQ(run_module(m, x).size(0), 0);
}

}  // namespace
}  // namespace qconv
