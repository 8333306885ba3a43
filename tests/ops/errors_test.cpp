// The table of error checks: every mistake a caller can make is one exception whose message names the
// operator and says what was expected.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

namespace qconv {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Tensor weight(const Shape& sizes, std::int64_t zero_point = 0) {
  return quantize_per_tensor(Tensor::zeros(sizes, float32), 0.5, zero_point, qint8);
}

Tensor activation(const Shape& sizes, DType dtype = quint8) {
  return quantize_per_tensor(Tensor::zeros(sizes, float32), 0.5, 3, dtype);
}

PackedParams small_conv2d(std::int64_t groups = 1, const ops::PrepackOptions& options = {}) {
  return ops::conv2d_prepack(weight({4, 2, 3, 3}), std::nullopt, 1, 1, 1, groups, options);
}

template <class E>
void expect_error(const std::function<void()>& call, const std::string& who, const std::string& gist) {
  try {
    call();
    ADD_FAILURE() << "no exception; expected one that says: " << gist;
  } catch (const E& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr(who), HasSubstr(gist), Not(HasSubstr("\n"))));
  }
}

TEST(PrepackErrors, Weight) {
  const auto prepack = [](const Tensor& w, const ops::Bias& b = std::nullopt) {
    return [=] { ops::conv2d_prepack(w, b, 1, 0, 1, 1); };
  };
  expect_error<TypeError>(prepack(Tensor::zeros({4, 2, 3, 3}, float32)), "conv2d_prepack",
                          "dtype qint8, got float32");
  expect_error<TypeError>(prepack(activation({4, 2, 3, 3})), "conv2d_prepack", "dtype qint8, got quint8");
  expect_error<ValueError>(prepack(weight({4, 2, 3})), "conv2d_prepack",
                           "expected to have 4 dimensions, got sizes (4, 2, 3)");
  expect_error<ValueError>(prepack(Tensor()), "conv2d_prepack", "undefined");
  expect_error<ValueError>(prepack(weight({4, 0, 3, 3})), "conv2d_prepack", "in_channels must be in [1");
  expect_error<ValueError>(prepack(weight({4, 2, 0, 3})), "conv2d_prepack", "kernel_size must be at least 1");
}

TEST(PrepackErrors, PerChannelAxis) {
  const Tensor x = Tensor::zeros({4, 4, 3, 3}, float32);
  const auto per_channel = [&](int axis) {
    return quantize_per_channel(x, std::vector<double>(4, 0.5), std::vector<std::int64_t>(4, 0), axis, qint8);
  };
  expect_error<ValueError>([&] { ops::conv2d_prepack(per_channel(1), std::nullopt, 1, 0, 1, 1); },
                           "conv2d_prepack", "axis 0 (the output channels), got axis 1");
  expect_error<ValueError>(
      [&] { ops::conv_transpose2d_prepack(per_channel(0), std::nullopt, 1, 0, 0, 1, 1); },
      "conv_transpose2d_prepack", "axis 1 (the output channels), got axis 0");
}

TEST(PrepackErrors, Bias) {
  const auto prepack = [](const Tensor& b) {
    return [=] { ops::conv2d_prepack(weight({4, 2, 3, 3}), b, 1, 0, 1, 1); };
  };
  expect_error<TypeError>(prepack(Tensor::zeros({4}, float64)), "conv2d_prepack",
                          "bias must have dtype float32");
  expect_error<ValueError>(prepack(Tensor::zeros({4, 1}, float32)), "conv2d_prepack",
                           "bias should be a vector");
  expect_error<ValueError>(prepack(Tensor::zeros({3}, float32)), "conv2d_prepack",
                           "bias should have 4 elements");
  const float inf = std::numeric_limits<float>::infinity();
  expect_error<ValueError>(prepack(Tensor::from_data(std::vector<float>{0, inf, 0, 0}, {4})),
                           "conv2d_prepack", "finite");
}

TEST(PrepackErrors, Geometry) {
  struct Case {
    IntList stride;
    Padding padding;
    IntList dilation;
    std::int64_t groups;
    const char* gist;
  };
  const Case cases[] = {
      {{1}, 0, 1, 1, "stride should contain 2 elements for a 2D convolution, got (1)"},
      {1, {1}, 1, 1, "padding should contain 2 elements, or 4"},
      {1, {1, 2, 3}, 1, 1, "padding should contain 2 elements"},
      {1, 0, {1, 1, 1}, 1, "dilation should contain 2 elements"},
      {0, 0, 1, 1, "stride must be at least 1, got (0, 0)"},
      {1, -1, 1, 1, "padding must not be negative, got (-1, -1)"},
      {1, {0, 0, 0, -2}, 1, 1, "padding must not be negative"},
      {1, 0, 0, 1, "dilation must be at least 1"},
      {1, 0, INT64_MAX, 1, "dilation must be at least 1"},
      {1, 0, 1, 0, "groups must be at least 1"},
      {1, 0, 1, 3, "out_channels must be divisible by groups, got 4 channels in 3 groups"},
      {2, "same", 1, 1, "padding='same' needs stride 1"},
      {1, "full", 1, 1, "padding 'full' is neither 'same' nor 'valid'"},
  };
  for (const Case& c : cases) {
    expect_error<ValueError>(
        [&] {
          ops::conv2d_prepack(weight({4, 2, 3, 3}), std::nullopt, c.stride, c.padding, c.dilation, c.groups);
        },
        "conv2d_prepack", c.gist);
  }
}

TEST(PrepackErrors, Transposed) {
  const auto prepack = [](const IntList& output_padding, const ops::PrepackOptions& options = {},
                          std::int64_t groups = 1) {
    return [=] {
      ops::conv_transpose2d_prepack(weight({4, 2, 3, 3}), std::nullopt, 2, 0, output_padding, 1, groups,
                                    options);
    };
  };
  expect_error<ValueError>(prepack(2), "conv_transpose2d_prepack",
                           "output_padding must be smaller than stride or dilation");
  expect_error<ValueError>(prepack({0}), "conv_transpose2d_prepack",
                           "output_padding should contain 2 elements");
  expect_error<ValueError>(prepack(-1), "conv_transpose2d_prepack", "not negative");
  expect_error<ValueError>(prepack(0, {.padding_mode = PaddingMode::reflect}), "conv_transpose2d_prepack",
                           "'zeros' only");
  expect_error<ValueError>(prepack(0, {}, 3), "conv_transpose2d_prepack",
                           "in_channels must be divisible by groups");
  expect_error<ValueError>(
      [] {
        ops::conv_transpose1d_prepack(weight({4, 2, 3}), std::nullopt, 1, "same", 0, 1, 1);
      },
      "conv_transpose1d_prepack", "not transposed");
}

TEST(PrepackErrors, AnAccumulatorThatCouldLeaveInt32) {
  const Tensor w = make_quantized(Tensor::from_data(std::vector<std::int8_t>(70000, -128), {1, 70000, 1, 1}),
                                  QParams::per_tensor(1, 0));
  expect_error<ValueError>([&] { ops::conv2d_prepack(w, std::nullopt, 1, 0, 1, 1); }, "conv2d_prepack",
                           "leave int32");
}

TEST(PrepackErrors, Engine) {
  expect_error<ValueError>([] { small_conv2d(1, {.engine = "fbgemm"}); }, "no engine is called 'fbgemm'",
                           "native, reference");
}

TEST(RunErrors, Activation) {
  const PackedParams packed = small_conv2d();
  const auto run = [&](const Tensor& x) { return [&packed, x] { ops::conv2d(x, packed, 1, 0); }; };
  expect_error<TypeError>(run(Tensor::zeros({1, 2, 5, 5}, float32)), "conv2d",
                          "got float32; call quantize_per_tensor first");
  expect_error<TypeError>(run(activation({1, 2, 5, 5}, qint32)), "conv2d", "quint8 or qint8, got qint32");
  expect_error<ValueError>(run(activation({2, 5, 5})), "conv2d",
                           "expected an activation with 4 dimensions, got sizes (2, 5, 5)");
  expect_error<ValueError>(run(activation({1, 3, 5, 5})), "conv2d",
                           "given groups=1 and a weight of sizes (4, 2, 3, 3), expected an input with 2 "
                           "channels, got sizes (1, 3, 5, 5)");
  expect_error<ValueError>(run(activation({1, 2, 0, 5})), "conv2d", "nothing to convolve");
  expect_error<ValueError>(run(Tensor()), "conv2d", "undefined");
  const Tensor per_channel =
      quantize_per_channel(Tensor::zeros({1, 2, 5, 5}, float32), std::vector<double>{1, 1},
                           std::vector<std::int64_t>{0, 0}, 1, quint8);
  expect_error<TypeError>(run(per_channel), "conv2d", "quantized per tensor");
  const PackedParams valid = ops::conv2d_prepack(weight({4, 2, 3, 3}), std::nullopt, 1, 0, 1, 1);
  expect_error<ValueError>(
      [&] {
        ops::conv2d_relu(activation({1, 2, 2, 9}), valid, 1, 0);
      },
      "conv2d_relu", "each dimension of the output must be greater than 0");
}

TEST(RunErrors, OutputParameters) {
  const PackedParams packed = small_conv2d();
  const Tensor x = activation({1, 2, 5, 5});
  expect_error<ValueError>([&] { ops::conv2d(x, packed, 0, 0); }, "conv2d: output", "scale must be positive");
  expect_error<ValueError>([&] { ops::conv2d(x, packed, std::nan(""), 0); }, "conv2d: output",
                           "scale must be positive");
  expect_error<ValueError>([&] { ops::conv2d(x, packed, 1, 300); }, "conv2d: output",
                           "zero_point 300 is outside the range of quint8");
  expect_error<ValueError>([&] { ops::conv2d(x, packed, 1, -1); }, "conv2d: output", "zero_point -1");
  expect_error<TypeError>([&] { ops::conv2d(x, packed, 1, 0, qint32); }, "conv2d",
                          "quint8 or qint8, got qint32");
  expect_error<ValueError>([&] { ops::conv2d(x, packed, 1e38, 0); }, "conv2d", "not a positive normal float");
}

TEST(RunErrors, PackedOfAnotherKind) {
  const Tensor x = activation({1, 2, 5, 5});
  expect_error<ValueError>([&] { ops::conv2d(x, nullptr, 1, 0); }, "conv2d", "call conv2d_prepack first");
  expect_error<ValueError>([&] { ops::conv3d(x, small_conv2d(), 1, 0); }, "conv3d",
                           "those of a conv2d, expected conv3d");
  expect_error<ValueError>([&] { ops::conv_transpose2d(x, small_conv2d(), 1, 0); }, "conv_transpose2d",
                           "those of a conv2d");
  expect_error<ValueError>([&] { ops::conv1d_unpack(small_conv2d()); }, "conv1d_unpack", "those of a conv2d");
  expect_error<ValueError>([&] { ops::conv3d_stride(small_conv2d()); }, "conv3d_stride", "those of a conv2d");
}

TEST(RunErrors, Addend) {
  const PackedParams packed = small_conv2d();
  const Tensor x = activation({1, 2, 5, 5});
  expect_error<ValueError>(
      [&] {
        ops::conv2d_add(x, activation({1, 4, 5, 4}), packed, 1, 0);
      },
      "conv2d_add", "has sizes (1, 4, 5, 4), expected the output's, (1, 4, 5, 5)");
  expect_error<TypeError>(
      [&] {
        ops::conv2d_add_relu(x, activation({1, 4, 5, 5}, qint8), packed, 1, 0);
      },
      "conv2d_add_relu", "must have the output's dtype quint8");
  expect_error<ValueError>([&] { ops::conv2d_add(x, Tensor(), packed, 1, 0); }, "conv2d_add", "undefined");
}

TEST(RunErrors, PaddingModes) {
  const PackedParams reflect = ops::conv2d_prepack(weight({4, 2, 3, 3}), std::nullopt, 1, 2, 1, 1,
                                                   {.padding_mode = PaddingMode::reflect});
  expect_error<ValueError>(
      [&] {
        ops::conv2d(activation({1, 2, 2, 5}), reflect, 1, 0);
      },
      "conv2d", "reflect padding must be smaller than the input");
  const PackedParams circular = ops::conv2d_prepack(weight({4, 2, 3, 3}), std::nullopt, 1, 2, 1, 1,
                                                    {.padding_mode = PaddingMode::circular});
  EXPECT_NO_THROW(ops::conv2d(activation({1, 2, 2, 5}), circular, 1, 0));
  expect_error<ValueError>(
      [&] {
        ops::conv2d(activation({1, 2, 1, 5}), circular, 1, 0);
      },
      "conv2d", "circular padding");
}

TEST(RunErrors, Dynamic) {
  const PackedParams packed = small_conv2d();
  expect_error<TypeError>(
      [&] {
        ops::conv2d_dynamic(activation({1, 2, 5, 5}), packed);
      },
      "conv2d_dynamic", "expected a float32 input");
  const Tensor inf =
      Tensor::from_data(std::vector<float>(18, std::numeric_limits<float>::infinity()), {1, 2, 3, 3});
  expect_error<ValueError>([&] { ops::conv2d_dynamic(inf, packed); }, "conv2d_dynamic", "not finite");
}

TEST(Problem, LinesThatCannotBeRead) {
  for (const char* line :
       {"", "conv4d c1", "conv2d c1 k1 i5x", "conv3d c1 k1 i5x5", "conv2d c1 k1 i5x5x5", "conv2d cx k1 i5x5",
        "conv2d c1 k1 i5x5 q7", "conv2d c1 k1 i5x5 x:float32", "conv2d c1 k1 i5x5 m:mirror",
        "conv2d c1 k1 i5x5 s0x0", "conv2d c99999999999999999999 k1 i5x5", "conv2d", "conv2d c1 k1",
        "conv2d c1 i5x5", "conv2d k1 i5x5"}) {
    EXPECT_THROW(ConvProblem::parse(line), qconv::Error) << line;
  }
}

TEST(Errors, AProblemTakesOneNumberForAllDimensions) {
  EXPECT_EQ(ConvProblem::parse("conv3d c2 k4 i9 f3 s2 p1 d1"),
            ConvProblem::parse("conv3d c2 k4 i9x9x9 f3x3x3 s2x2x2 p1x1x1 d1x1x1"));
  EXPECT_THROW(ConvProblem::parse("conv3d c2 k4 i9x9"), qconv::Error);
}

}  // namespace
}  // namespace qconv
