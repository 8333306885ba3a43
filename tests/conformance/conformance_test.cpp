// Every fast path equals the reference byte for byte: the listed problems and random ones, on every
// instruction set of this machine, with one thread and with several.
#include "support/conformance.hpp"

#include <fstream>

#include <gtest/gtest.h>

namespace qconv {
namespace {

using testing::ConvCase;
using testing::Data;
using testing::make_case;

void expect_conformance(const ConvCase& c, std::uint64_t seed) {
  EXPECT_EQ(testing::compare_with_reference(c).difference, "") << c.problem.to_string() << " seed " << seed;
}

TEST(Conformance, ListedProblems) {
  for (const char* file : {"conv.txt", "conv_transpose.txt"}) {
    std::ifstream lines(std::string(QCONV_TEST_DATA "/conformance/cases/") + file);
    ASSERT_TRUE(lines) << file;
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.empty() || line[0] == '#') continue;
      const ConvProblem problem = ConvProblem::parse(line);
      for (const Data data : {Data::random, Data::ties, Data::extreme})
        expect_conformance(make_case(problem, 1, data), 1);
      ++count;
    }
    EXPECT_GT(count, 10) << file;
  }
}

TEST(Conformance, RandomProblems) {
  std::mt19937_64 random(20261124);
  for (int i = 0; i < 1500 && !HasFailure(); ++i) {
    const ConvProblem problem = testing::random_problem(random);
    const std::uint64_t seed = random();
    expect_conformance(make_case(problem, seed, static_cast<Data>(i % 3)), seed);
  }
}

TEST(Conformance, RandomDepthwiseProblems) {
  std::mt19937_64 random(961);
  for (int i = 0; i < 600 && !HasFailure(); ++i) {
    ConvProblem problem = testing::random_problem(random);
    ConvGeometry& g = problem.geometry;
    g.groups = g.in_channels = g.out_channels = 2 + static_cast<std::int64_t>(random() % 130);
    problem.weight_zero_points = false;
    const std::uint64_t seed = random();
    expect_conformance(make_case(problem, seed, static_cast<Data>(i % 3)), seed);
  }
}

// One dimension at a time through all sizes around the tiles: rows of output pixels, output channels, input
// channels.
TEST(Conformance, EverySizeAroundTheTiles) {
  for (std::int64_t size = 1; size <= 2 * 64 + 1; ++size) {
    ConvProblem p;
    p.geometry.ndim = 1;
    p.geometry.kernel = {1, 1, 2};
    p.geometry.in_channels = 5;
    p.geometry.out_channels = size;
    p.input = {1, 1, 8};
    expect_conformance(make_case(p, 2), 2);
    p.geometry.out_channels = 17;
    p.geometry.in_channels = size;
    expect_conformance(make_case(p, 3), 3);
    p.geometry.in_channels = 6;
    p.input = {1, 1, size + 1};
    expect_conformance(make_case(p, 4), 4);
  }
}

// Depthwise convolutions: all that a vector's channels may be left over from, widths around its tiles and
// stretches, heights around the rows that share columns, and every small kernel.
TEST(Conformance, DepthwiseSizesAroundTheTiles) {
  const auto check = [](std::int64_t channels, Spatial input, Spatial kernel, std::int64_t stride,
                        PostOp post_op, DType dtype) {
    ConvProblem p;
    ConvGeometry& g = p.geometry;
    g.ndim = 2;
    g.kernel = kernel;
    g.stride = {1, stride, stride};
    g.padding_begin = g.padding_end = {0, kernel[1] / 2, kernel[2] / 2};
    g.groups = g.in_channels = g.out_channels = channels;
    p.input = input;
    p.post_op = post_op;
    p.input_dtype = p.output_dtype = dtype;
    const auto seed = static_cast<std::uint64_t>(channels + input[2]);
    expect_conformance(make_case(p, seed), seed);
  };
  for (std::int64_t channels = 2; channels <= 130; ++channels) {
    check(channels, {1, 4, 7}, {1, 3, 3}, 1, PostOp::none, DType::quint8);
    check(channels, {1, 5, 6}, {1, 3, 3}, 2, PostOp::add_relu, DType::qint8);
  }
  for (const std::int64_t channels : {12, 16, 32, 48, 70}) {
    for (std::int64_t width = 1; width <= 19; ++width) {
      check(channels, {1, width % 4 + 1, width}, {1, 3, 3}, 1, PostOp::none, DType::quint8);
      check(channels, {1, width % 5 + 1, width}, {1, 3, 3}, 2, PostOp::relu, DType::quint8);
      check(channels, {1, width % 3 + 1, width}, {1, 2, 3}, 3, PostOp::add, DType::quint8);
      check(channels, {1, 1, 70 + width}, {1, 3, 3}, 1, PostOp::none, DType::quint8);
      check(channels, {1, 2, 70 + width}, {1, 1, 5}, 2, PostOp::none, DType::quint8);
    }
    for (std::int64_t height = 1; height <= 7; ++height) {
      for (std::int64_t width = 1; width <= 7; ++width) {
        check(channels, {1, 9, 8}, {1, height, width}, 1, PostOp::none, DType::quint8);
        check(channels, {1, 8, 9}, {1, height, width}, 2, PostOp::add, DType::qint8);
      }
    }
  }
}

}  // namespace
}  // namespace qconv
