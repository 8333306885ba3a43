// The Winograd kernels equal the reference byte for byte wherever they can run, also where the cost rule
// would choose others.
#include <algorithm>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include <qconv/error.hpp>

#include "engines/native/native.hpp"
#include "engines/native/pack_winograd.hpp"
#include "engines/reference/reference.hpp"
#include "support/conv_case.hpp"

namespace qconv {
namespace {

using testing::ConvCase;
using testing::Data;
using testing::make_case;

std::vector<std::unique_ptr<const engines::Engine>> winograd_engines() {
  std::vector<std::unique_ptr<const engines::Engine>> list;
  for (const Isa isa : list_isas()) {
    if (supported(isa) && engines::winograd::select(isa) != nullptr)
      list.push_back(engines::make_native(isa, {.winograd = engines::Use::always}));
  }
  return list;
}

void expect_equal(const ConvCase& c, const std::string& what) {
  static const auto engines = winograd_engines();
  static const auto one = testing::make_pool(1);
  static const auto three = testing::make_pool(3);
  const auto expected = testing::run_case(engines::reference(), c, *one);
  for (const auto& engine : engines) {
    const auto packed = testing::pack_case(*engine, c);
    const std::string kernel = engine->prepare(packed, c.problem, c.requantization)->kernel_name();
    ASSERT_NE(kernel.find("winograd"), std::string::npos) << kernel << ": " << c.problem.to_string();
    ASSERT_TRUE(expected == testing::run_case(*engine, c, *one))
        << kernel << ": " << c.problem.to_string() << ' ' << what;
    ASSERT_TRUE(expected == testing::run_case(*engine, c, *three))
        << kernel << ", 3 threads: " << c.problem.to_string() << ' ' << what;
  }
}

ConvProblem problem_of(const std::string& line) { return ConvProblem::parse(line); }

// Height and width through all remainders of the tiles, one of them at a time and both.
TEST(Winograd, EverySizeAroundTheTiles) {
  for (std::int64_t h = 1; h <= 14; ++h) {
    for (std::int64_t w = 1; w <= 14; ++w) {
      const std::string size = std::to_string(h) + "x" + std::to_string(w);
      expect_equal(make_case(problem_of("conv2d c3 k5 i" + size + " f3x3 p1x1"), 1), "padded");
      if (h > 2 && w > 2) expect_equal(make_case(problem_of("conv2d c2 k3 i" + size + " f3x3"), 2), "valid");
    }
  }
}

TEST(Winograd, EmptyBatch) {
  ConvProblem p = problem_of("conv2d c3 k5 i6x7 f3x3 p1x1");
  p.batch = 0;
  expect_equal(make_case(p, 1), "empty");
}

TEST(Winograd, EveryNumberOfChannels) {
  for (std::int64_t channels = 1; channels <= 70; ++channels) {
    const std::string n = std::to_string(channels);
    expect_equal(make_case(problem_of("conv2d c" + n + " k5 i6x7 f3x3 p1x1 zw"), 3), "input");
    expect_equal(make_case(problem_of("conv2d c5 k" + n + " i6x7 f3x3 p1x1 add"), 4), "output");
    // Values that may exceed int32 are limited before they are rounded.
    ConvCase unbounded = make_case(problem_of("conv2d c5 k" + n + " i6x7 f3x3 p1x1 y:qint8"), 4);
    unbounded.requantization.magnitude = std::numeric_limits<float>::infinity();
    expect_equal(unbounded, "unbounded");
  }
  for (const char* k : {"127", "128", "129", "144", "200"}) {
    expect_equal(make_case(problem_of("conv2d c33 k" + std::string(k) + " i5x5 f3x3 p1x1"), 5), "panels");
  }
}

// Everything random but what the kernels need; dilation, depth and its stride included.
TEST(Winograd, RandomProblems) {
  std::mt19937_64 random(4433);
  for (int i = 0; i < 1500 && !HasFailure();) {
    ConvProblem p = testing::random_problem(random);
    ConvGeometry& g = p.geometry;
    if (g.ndim == 1) continue;
    g.transposed = false;
    g.output_padding = {0, 0, 0};
    g.in_channels /= g.groups;
    g.out_channels /= g.groups;
    g.groups = 1;
    g.kernel[1] = g.kernel[2] = 3;
    g.stride[1] = g.stride[2] = 1;
    p.batch = 1 + i % 3;
    // Any weights, whose difference from their zero point may be 255, are within the family's bound then.
    g.in_channels = std::min<std::int64_t>(g.in_channels, 1031 / g.taps());
    try {
      p.validate("random");
    } catch (const qconv::Error&) {
      continue;
    }
    const std::uint64_t seed = random();
    expect_equal(make_case(p, seed, static_cast<Data>(i % 3)), "seed " + std::to_string(seed));
    ++i;
  }
}

// Sums of weights at the bound, which is 2^26 / 255: with the activations at the ends of their range the sums
// are at the ends of theirs. The integer bias brings those of the inner outputs to 100, so that every bit
// counts.
ConvCase case_at_bound(std::int32_t za, std::int32_t a, int signs) {
  ConvCase c = make_case(problem_of("conv2d c115 k3 i9x10 f3x3 p1x1 zw"), 6);
  const std::size_t reduction = 115 * 9;
  std::fill(c.input.begin(), c.input.end(), static_cast<std::uint8_t>(a));
  std::vector<std::int32_t> sums;
  for (std::size_t oc = 0; oc < 3; ++oc) {
    const std::int32_t zw = signs == 1 ? 127 : -128;
    c.weight_zero_points[oc] = zw;
    std::int32_t left = 263172;
    for (std::size_t i = 0; i < reduction; ++i) {
      const std::int32_t magnitude = std::min(left, 255);
      c.weights[oc * reduction + i] = static_cast<std::int8_t>(signs == 1 ? zw - magnitude : zw + magnitude);
      left -= magnitude;
    }
    EXPECT_EQ(left, 0);
    sums.push_back((signs == 1 ? -263172 : 263172) * (a - za));
  }
  c.requantization.input_zero_point = za;
  c.requantization.zero_point = 0;
  c.requantization.lo = 0;
  c.requantization.hi = 255;
  for (std::size_t oc = 0; oc < 3; ++oc) {
    c.requantization.integer_bias[oc] = 100 - sums[oc];
    c.requantization.bias[oc] = 0;
    c.requantization.multiplier[oc] = 1;
  }
  return c;
}

TEST(Winograd, SumsAtTheBound) {
  for (const std::int32_t za : {0, 1, 128, 255}) {
    for (const std::int32_t a : {0, 1, 254, 255}) {
      for (const int signs : {0, 1}) {
        const ConvCase c = case_at_bound(za, a, signs);
        expect_equal(c, "zero point " + std::to_string(za) + " value " + std::to_string(a));
        const auto pool = testing::make_pool(1);
        EXPECT_EQ(testing::run_case(engines::reference(), c, *pool)[3 * 12], 100);
      }
    }
  }
}

TEST(Winograd, DeclinesSumsBeyondTheBound) {
  ConvCase c = case_at_bound(0, 0, 0);
  EXPECT_EQ(engines::winograd_declines(c.problem.geometry, testing::CaseWeights(c).view), "");
  c.weights[2 * 115 * 9 + 1033] += 1;
  EXPECT_NE(engines::winograd_declines(c.problem.geometry, testing::CaseWeights(c).view), "");
}

TEST(Winograd, DeclinesOtherGeometries) {
  const std::vector<std::int8_t> weights(1024);
  const std::vector<std::int32_t> zero_points(8);
  for (const char* line : {"conv2d c8 k8 i9x9 f3x3 s2x1", "conv2d c8 k8 i9x9 f3x5", "conv1d c8 k8 i9 f3",
                           "conv2d c8 k8 g2 i9x9 f3x3", "conv_transpose2d c8 k8 i9x9 f3x3"}) {
    EXPECT_NE(engines::winograd_declines(problem_of(line).geometry, {weights.data(), zero_points, {}}), "")
        << line;
  }
}

// The weights are transformed once, whichever of several threads is the first to make a plan.
TEST(Winograd, ThreadsMakePlansOfTheSameWeights) {
  const ConvCase c = make_case(problem_of("conv2d c32 k32 i9x9 f3x3 p1x1"), 8);
  const auto pool = testing::make_pool(1);
  const auto expected = testing::run_case(engines::reference(), c, *pool);
  const auto engine = engines::make_native(Isa::scalar, {.winograd = engines::Use::always});
  const auto packed = testing::pack_case(*engine, c);
  std::vector<std::vector<std::uint8_t>> outputs(3, std::vector<std::uint8_t>(expected.size()));
  {
    std::vector<std::jthread> threads;
    for (auto& output : outputs) {
      threads.emplace_back([&] {
        const auto plan = engine->prepare(packed, c.problem, c.requantization);
        plan->run({c.input.data(), nullptr, output.data()}, *testing::make_pool(1));
      });
    }
  }
  for (const auto& output : outputs) EXPECT_EQ(output, expected);
}

// A large image is worth transforming the weights, a single tile of wide channels is not.
TEST(Winograd, IsChosenByItsCost) {
  const auto engine = engines::make_native(Isa::scalar);
  const auto kernel = [&](const char* line) {
    const ConvCase c = make_case(problem_of(line), 7);
    const auto packed = testing::pack_case(*engine, c);
    return engine->prepare(packed, c.problem, c.requantization)->kernel_name();
  };
  EXPECT_NE(kernel("conv2d c64 k64 i28x28 f3x3 p1x1").find("winograd"), std::string::npos);
  EXPECT_NE(kernel("conv2d c64 k64 i1x1 f3x3 p1x1").find("igemm"), std::string::npos);
}

}  // namespace
}  // namespace qconv
