// Both float convolution paths against a loop in double precision.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "engines/floating/float_plan.hpp"
#include "engines/source_index.hpp"
#include "functional/support.hpp"

namespace qconv {
namespace {

using engines::FloatProblem;

// y[n][oc][position], summed in double precision; `magnitude` gets the sum of absolute terms, the measure of
// what rounding can do.
std::vector<double> naive(const ConvProblem& p, const FloatPostOp& op, const std::vector<float>& x,
                          const std::vector<float>& w, const std::vector<float>& bias,
                          const std::vector<float>& addend, std::vector<double>& magnitude) {
  const ConvGeometry& g = p.geometry;
  const Spatial out = p.output();
  const Spatial& in = p.input;
  const std::int64_t icg = g.in_channels_per_group();
  const std::int64_t ocg = g.out_channels_per_group();
  std::vector<double> y;
  for (std::int64_t n = 0; n < p.batch; ++n) {
    for (std::int64_t oc = 0; oc < g.out_channels; ++oc) {
      for (std::int64_t at = 0; at < out[0] * out[1] * out[2]; ++at) {
        double sum = bias.empty() ? 0.0 : bias[static_cast<std::size_t>(oc)];
        double size = std::abs(sum);
        for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
          using engines::source_index;
          const auto d = source_index(g, 0, at / (out[1] * out[2]), tap / (g.kernel[1] * g.kernel[2]), in[0]);
          const auto h = source_index(g, 1, at / out[2] % out[1], tap / g.kernel[2] % g.kernel[1], in[1]);
          const auto v = source_index(g, 2, at % out[2], tap % g.kernel[2], in[2]);
          if (d < 0 || h < 0 || v < 0) continue;
          for (std::int64_t ic = 0; ic < icg; ++ic) {
            const std::int64_t channel = oc / ocg * icg + ic;
            const std::int64_t row = g.transposed ? channel * ocg + oc % ocg : oc * icg + ic;
            const double a = x[static_cast<std::size_t>(
                (((n * g.in_channels + channel) * in[0] + d) * in[1] + h) * in[2] + v)];
            const double term = a * w[static_cast<std::size_t>(row * g.taps() + tap)];
            sum += term;
            size += std::abs(term);
          }
        }
        if (op.add) sum += addend[y.size()];
        if (op.min) sum = std::max<double>(sum, *op.min);
        if (op.max) sum = std::min<double>(sum, *op.max);
        y.push_back(sum);
        magnitude.push_back(size + 1e-3);
      }
    }
  }
  return y;
}

void expect_close(const Tensor& y, const std::vector<double>& expected, const std::vector<double>& magnitude,
                  const std::string& what) {
  const std::vector<float> values = y.to_vector<float>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], expected[i], 1e-5 * magnitude[i]) << what << " at " << i;
}

// Runs the problem on every path there is.
void check_problem(const std::string& line, const FloatPostOp& op = {}) {
  const ConvProblem p = ConvProblem::parse(line);
  const ConvGeometry& g = p.geometry;
  const Tensor x = test::random_float(p.input_sizes(), 1);
  const Tensor w = test::random_float(g.weight_sizes(), 2);
  std::optional<Tensor> bias;
  if (p.bias) bias = test::random_float({g.out_channels}, 3);
  const Tensor addend = op.add ? test::random_float(p.output_sizes(), 4) : Tensor();
  std::vector<double> magnitude;
  const auto expected = naive(p, op, x.to_vector<float>(), w.to_vector<float>(),
                              bias ? bias->to_vector<float>() : std::vector<float>(),
                              op.add ? addend.to_vector<float>() : std::vector<float>(), magnitude);

  const FloatConvolution convolution(g, w, bias, op);
  const Tensor y = convolution.run(x, addend);
  EXPECT_TRUE(y.is_contiguous(MemoryFormat::channels_last));
  expect_close(y, expected, magnitude, line + " on " + convolution.kernel(x.sizes()));

  if (g.padding_mode != PaddingMode::zeros || p.batch == 0) return;
  Tensor plain = Tensor::empty(p.output_sizes(), float32, MemoryFormat::channels_last);
  const Tensor last = x.contiguous(MemoryFormat::channels_last);
  const Tensor extra = op.add ? addend.contiguous(MemoryFormat::channels_last) : Tensor();
  engines::prepare_plain({g, p.batch, p.input, op}, w.data<float>(), bias ? bias->data<float>() : nullptr)
      ->run({last.data<float>(), op.add ? extra.data<float>() : nullptr, plain.mutable_data<float>()},
            *current_pool());
  expect_close(plain, expected, magnitude, line + " on plain");
}

TEST(FloatConvolution, EqualsTheNaiveLoop) {
  for (const char* line : {
           "conv2d n2 c3 k5 i7x9 f3x3 p1x1",
           "conv2d n1 c16 k33 i6x5 f1x1",
           "conv2d n1 c8 k12 g4 i9x9 f3x3 s2x2 p1x1 nobias",
           "conv2d n1 c20 k20 g20 i11x8 f3x3 p1x1",
           "conv2d n1 c20 k40 g20 i11x8 f5x3 s1x2 p2x1 d1x2",
           "conv2d n1 c4 k6 i8x8 f3x3 p1x0 e2x3 d2x1",
           "conv1d n2 c5 k7 i30 f5 s3 p4 d2",
           "conv3d n1 c3 k4 i4x5x6 f3x2x3 s1x2x1 p1x0x1",
           "conv3d n1 c6 k4 g2 i4x5x6 f2x2x2 d2x1x2",
           "conv_transpose1d n2 c6 k4 g2 i9 f4 s3 p1 o2",
           "conv_transpose1d n1 c8 k4 i7 f16 s8 p4",
           "conv_transpose2d n1 c16 k3 i6x7 f4x4 s2x2 p1x1",
           "conv_transpose2d n2 c5 k7 i6x5 f3x3 s2x1 p0x1 o1x0 nobias",
           "conv_transpose2d n1 c4 k8 g4 i5x5 f3x3 s3x2 p2x1 e0x1 d2x3",
           "conv_transpose3d n1 c4 k3 i3x4x3 f2x3x3 s2x2x1 p1x1x1 o1x0x0",
       }) {
    check_problem(line);
  }
}

TEST(FloatConvolution, AppliesItsPostOp) {
  for (const char* line : {"conv2d n1 c7 k18 i6x7 f3x3 p1x1", "conv_transpose2d n1 c7 k5 i6x7 f3x3 s2x2 p1x1",
                           "conv1d n1 c64 k64 i33 f3 p1", "conv3d n1 c4 k4 g4 i3x4x5 f3x3x3 p1x1x1"}) {
    check_problem(line, FloatPostOp::relu());
    check_problem(line, FloatPostOp::clip(-0.5F, 0.75F));
    check_problem(line, {.max = 0.25F});
    check_problem(line, {.min = -0.25F});
    check_problem(line, {.add = true});
    check_problem(line, {.add = true, .min = 0.0F});
    check_problem(line, {.add = true, .min = 0.0F, .max = 6.0F});
  }
}

TEST(FloatConvolution, PadsInEveryMode) {
  for (const char* mode : {"reflect", "replicate", "circular"}) {
    const std::string m = std::string(" m:") + mode;
    check_problem("conv1d n2 c3 k4 i7 f5 p2 e4" + m);
    check_problem("conv2d n1 c3 k4 i6x5 f3x5 p1x2" + m);
    check_problem("conv3d n1 c2 k2 i4x5x3 f3x3x3 p1x2x1" + m);
  }
}

TEST(FloatConvolution, RunsEveryNumberOfChannels) {
  for (int channels = 1; channels <= 70; ++channels) {
    const std::string c = std::to_string(channels);
    check_problem("conv2d n1 c" + c + " k" + c + " i3x4 f3x3 p1x1");
    check_problem("conv2d n1 c" + c + " k" + c + " g" + c + " i5x4 f3x3 p1x1");
  }
}

TEST(FloatConvolution, AcceptsAnEmptyBatch) {
  check_problem("conv2d n0 c3 k4 i5x5 f3x3 p1x1");
  check_problem("conv_transpose1d n0 c3 k4 i5 f3");
}

TEST(FloatConvolution, RunsIntoGivenMemoryAndRefusesOther) {
  const FloatConvolution c(ConvProblem::parse("conv2d c3 k4 i5x5 f3x3").geometry,
                           test::random_float({4, 3, 3, 3}, 1), {});
  const Tensor x = test::random_float({1, 3, 5, 5}, 2);
  Tensor y = Tensor::empty({1, 4, 3, 3}, float32, MemoryFormat::channels_last);
  c.run_into(y, x);
  EXPECT_TRUE(equal(y, c.run(x)));
  Tensor row_major = Tensor::empty({1, 4, 3, 3}, float32);
  EXPECT_THROW(c.run_into(row_major, x), ValueError);
  EXPECT_THROW(c.run(x, y), ValueError);
  EXPECT_THROW(c.run(test::random_float({1, 4, 5, 5}, 2)), ValueError);
  EXPECT_THROW(c.run(test::random_int8({1, 3, 5, 5}, quint8, 1, 0, 2)), TypeError);
}

TEST(FloatLinear, MultipliesRows) {
  const Tensor x = test::random_float({2, 5, 7}, 1);
  const Tensor w = test::random_float({3, 7}, 2);
  const Tensor b = test::random_float({3}, 3);
  const Tensor y = functional::linear(x, w, b);
  EXPECT_EQ(y.sizes(), (Shape{2, 5, 3}));
  for (std::int64_t r = 0; r < 10; ++r) {
    for (std::int64_t o = 0; o < 3; ++o) {
      double sum = b.data<float>()[o];
      for (std::int64_t i = 0; i < 7; ++i) sum += x.data<float>()[r * 7 + i] * w.data<float>()[o * 7 + i];
      EXPECT_NEAR(y.data<float>()[r * 3 + o], sum, 1e-5);
    }
  }
  EXPECT_EQ(functional::linear(Tensor::zeros({0, 7}, float32), w, b).sizes(), (Shape{0, 3}));
  EXPECT_THROW(functional::linear(test::random_float({2, 6}, 1), w, b), ValueError);
}

TEST(FloatFunctional, ConvolutionsTakePyTorchsArguments) {
  const Tensor x = test::random_float({1, 4, 6, 6}, 1);
  const Tensor w = test::random_float({4, 2, 3, 3}, 2);
  EXPECT_EQ(functional::conv2d(x, w, {}, 1, "same", 1, 2).sizes(), (Shape{1, 4, 6, 6}));
  EXPECT_EQ(functional::conv_transpose2d(x, w, {}, 2, 1, 1, 2).sizes(), (Shape{1, 4, 12, 12}));
  EXPECT_THROW(functional::conv2d(x, w), ValueError);
}

}  // namespace
}  // namespace qconv
