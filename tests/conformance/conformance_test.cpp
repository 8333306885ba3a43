// Every fast path equals the reference byte for byte: the listed problems and random ones, on every
// instruction set of this machine, with one thread and with several.
#include <fstream>

#include <gtest/gtest.h>

#include "engines/native/native.hpp"
#include "engines/reference/reference.hpp"
#include "support/conv_case.hpp"

namespace qconv {
namespace {

using testing::ConvCase;
using testing::Data;
using testing::make_case;

std::vector<std::unique_ptr<const engines::Engine>> native_engines() {
  std::vector<std::unique_ptr<const engines::Engine>> list;
  for (const Isa isa : list_isas()) {
    if (supported(isa)) list.push_back(engines::make_native(isa));
  }
  return list;
}

// The first byte in which the two differ, in words; empty when they are equal.
std::string difference(const std::vector<std::uint8_t>& expected, const std::vector<std::uint8_t>& actual) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] != actual[i]) {
      return "byte " + std::to_string(i) + " is " + std::to_string(actual[i]) + ", expected " +
             std::to_string(expected[i]);
    }
  }
  return {};
}

void expect_conformance(const ConvCase& c, std::uint64_t seed) {
  static const auto engines = native_engines();
  static const auto one = testing::make_pool(1);
  static const auto three = testing::make_pool(3);
  const auto expected = testing::run_case(engines::reference(), c, *one);
  for (const auto& engine : engines) {
    const std::string kernel =
        engine->pack(c.problem.geometry, {c.weights.data(), c.weight_zero_points})->kernel();
    EXPECT_EQ(difference(expected, testing::run_case(*engine, c, *one)), "")
        << kernel << ": " << c.problem.to_string() << " seed " << seed;
    EXPECT_EQ(difference(expected, testing::run_case(*engine, c, *three)), "")
        << kernel << ", 3 threads: " << c.problem.to_string() << " seed " << seed;
  }
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
