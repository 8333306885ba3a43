// The operators' own behaviour: what they return beside the numbers, which the conformance and golden tests
// check.
#include <thread>

#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "support/conv_case.hpp"

namespace qconv {
namespace {

Tensor random_tensor(const Shape& sizes, DType dtype, double scale, std::int64_t zero_point,
                     std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
  for (float& v : values)
    v = static_cast<float>(static_cast<double>(random() % 256) - 128.0) * static_cast<float>(scale);
  return quantize_per_tensor(Tensor::from_data(values, sizes), scale, zero_point, dtype);
}

PackedParams packed2d(const ops::PrepackOptions& options = {}) {
  return ops::conv2d_prepack(random_tensor({8, 4, 3, 3}, qint8, 0.02, 0, 1), std::nullopt, {1, 2}, {1, 0}, 1,
                             1, options);
}

TEST(Conv, ReturnsAFreshChannelsLastTensorWithTheGivenParameters) {
  const Tensor x = random_tensor({2, 4, 6, 7}, quint8, 0.1, 100, 2);
  const Tensor y = ops::conv2d(x, packed2d(), 0.7, 12);
  EXPECT_EQ(y.sizes(), (Shape{2, 8, 6, 3}));
  EXPECT_TRUE(y.is_contiguous(MemoryFormat::channels_last));
  EXPECT_EQ(y.dtype(), quint8);
  EXPECT_EQ(y.q_scale(), 0.7);
  EXPECT_EQ(y.q_zero_point(), 12);
  EXPECT_EQ(ops::conv2d(x, packed2d(), 0.7, 12, qint8).dtype(), qint8);
}

TEST(Conv, TheInputsMemoryFormatDoesNotMatter) {
  const Tensor x = random_tensor({2, 4, 6, 7}, quint8, 0.1, 100, 2);
  const Tensor channels_last = x.contiguous(MemoryFormat::channels_last);
  const Tensor strided = random_tensor({2, 4, 7, 6}, quint8, 0.1, 100, 2);
  Tensor transposed = strided.transpose(2, 3);
  transposed.copy_(x);
  const Tensor y = ops::conv2d(x, packed2d(), 0.7, 12);
  EXPECT_TRUE(equal(y, ops::conv2d(channels_last, packed2d(), 0.7, 12)));
  EXPECT_TRUE(equal(y, ops::conv2d(transposed, packed2d(), 0.7, 12)));
}

TEST(Conv, ReluIsAClampAtTheZeroPoint) {
  const Tensor x = random_tensor({2, 4, 6, 7}, quint8, 0.1, 100, 2);
  const auto plain = ops::conv2d(x, packed2d(), 0.7, 120).int_repr().to_vector<std::uint8_t>();
  const auto relu = ops::conv2d_relu(x, packed2d(), 0.7, 120).int_repr().to_vector<std::uint8_t>();
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(relu[i], std::max<std::uint8_t>(plain[i], 120));
}

TEST(Conv, AddLeavesTheAddendAlone) {
  const Tensor x = random_tensor({2, 4, 6, 7}, quint8, 0.1, 100, 2);
  const Tensor other =
      random_tensor({2, 8, 6, 3}, quint8, 0.3, 20, 3).contiguous(MemoryFormat::channels_last);
  const Tensor before = other.clone();
  const Tensor y = ops::conv2d_add(x, other, packed2d(), 0.7, 12);
  EXPECT_TRUE(equal(other, before));
  EXPECT_NE(y.raw_data(), other.raw_data());
  // Adding the zero point changes nothing.
  const Tensor zero = quantize_per_tensor(Tensor::zeros({2, 8, 6, 3}, float32), 0.3, 20, quint8);
  EXPECT_TRUE(equal(ops::conv2d_add(x, zero, packed2d(), 0.7, 12), ops::conv2d(x, packed2d(), 0.7, 12)));
}

TEST(Conv, AnEmptyBatchIsLegal) {
  const Tensor x = random_tensor({0, 4, 6, 7}, quint8, 0.1, 100, 2);
  const Tensor y = ops::conv2d(x, packed2d(), 0.7, 12);
  EXPECT_EQ(y.sizes(), (Shape{0, 8, 6, 3}));
  const PackedParams transposed = ops::conv_transpose3d_prepack(
      random_tensor({4, 2, 2, 2, 2}, qint8, 0.1, 0, 4), std::nullopt, 2, 0, 0, 1, 2);
  EXPECT_EQ(
      ops::conv_transpose3d(random_tensor({0, 4, 3, 3, 3}, quint8, 0.1, 0, 5), transposed, 1, 0).sizes(),
      (Shape{0, 4, 6, 6, 6}));
  EXPECT_EQ(ops::conv2d_dynamic(Tensor::zeros({0, 4, 6, 7}, float32), packed2d()).sizes(),
            (Shape{0, 8, 6, 3}));
}

TEST(Conv, PackedParametersKeepWhatTheyWereMadeOf) {
  Tensor w = random_tensor({8, 4, 3, 3}, qint8, 0.02, 0, 1);
  const Tensor original = w.clone();
  const Tensor bias = Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {8});
  const PackedParams packed = ops::conv2d_prepack(w, bias, {1, 2}, {1, 0}, {2, 1}, 1);
  w.mutable_data<std::int8_t>()[0] = 99;  // the caller's tensor is not ours
  const auto [weight, unpacked_bias] = ops::conv2d_unpack(packed);
  EXPECT_TRUE(equal(weight, original));
  ASSERT_TRUE(unpacked_bias.has_value());
  EXPECT_TRUE(equal(*unpacked_bias, bias));
  EXPECT_EQ(ops::conv2d_stride(packed), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(ops::conv2d_padding(packed), (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(ops::conv2d_dilation(packed), (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(ops::conv2d_groups(packed), 1);
  EXPECT_EQ(ops::conv2d_transpose(packed), 0);
  EXPECT_FALSE(ops::conv2d_unpack(packed2d()).second.has_value());
  const ops::ConvSizes sizes = ops::conv2d_unpack_sizes(packed);
  EXPECT_EQ(sizes.weight, original.sizes());
  EXPECT_EQ(sizes.bias, (Shape{8}));
  EXPECT_EQ(sizes.padding, (std::vector<std::int64_t>{1, 0}));
}

TEST(Conv, PaddingByName) {
  const Tensor w = random_tensor({8, 4, 4, 3}, qint8, 0.02, 0, 1);
  const Tensor x = random_tensor({1, 4, 6, 7}, quint8, 0.1, 100, 2);
  const PackedParams same = ops::conv2d_prepack(w, std::nullopt, 1, "same", {1, 2}, 1);
  EXPECT_EQ(same->padding(), (std::vector<std::int64_t>{1, 2, 2, 2}));  // the odd element goes to the end
  EXPECT_EQ(ops::conv2d(x, same, 0.7, 12).sizes(), (Shape{1, 8, 6, 7}));
  const PackedParams valid = ops::conv2d_prepack(w, std::nullopt, 1, "valid", 1, 1);
  EXPECT_EQ(ops::conv2d(x, valid, 0.7, 12).sizes(), (Shape{1, 8, 3, 5}));
}

// A padding mode is the same as padding the input by hand.
TEST(Conv, PaddingModesEqualAPaddedInput) {
  const Tensor w = random_tensor({5, 4, 3}, qint8, 0.02, 0, 1);
  const Tensor x = random_tensor({1, 4, 6}, quint8, 0.1, 100, 2);
  const std::vector<std::vector<std::int64_t>> sources = {
      {2, 1, 0, 1, 2, 3, 4, 5, 4}, {0, 0, 0, 1, 2, 3, 4, 5, 5}, {4, 5, 0, 1, 2, 3, 4, 5, 0}};
  const PackedParams valid = ops::conv1d_prepack(w, std::nullopt, 1, 0, 1, 1);
  for (std::size_t mode = 0; mode < 3; ++mode) {
    Tensor padded = random_tensor({1, 4, 9}, quint8, 0.1, 100, 3);
    for (std::int64_t i = 0; i < 9; ++i)
      padded.narrow(2, i, 1).copy_(x.narrow(2, sources[mode][static_cast<std::size_t>(i)], 1));
    for (const char* engine : {"reference", "native"}) {
      const PackedParams packed =
          ops::conv1d_prepack(w, std::nullopt, 1, {2, 1}, 1, 1,
                              {.padding_mode = static_cast<PaddingMode>(mode + 1), .engine = engine});
      EXPECT_TRUE(equal(ops::conv1d(x, packed, 0.7, 12), ops::conv1d(padded, valid, 0.7, 12)))
          << mode << engine;
    }
  }
}

// One packed convolution, many threads, several input sizes: every result is right. (The thread sanitizer's
// test.)
TEST(Conv, RunsFromManyThreadsAtOnce) {
  const PackedParams packed = packed2d();
  std::vector<Tensor> inputs;
  std::vector<Tensor> expected;
  for (std::int64_t size = 5; size < 17; ++size) {
    inputs.push_back(
        random_tensor({1, 4, size, 3 * size}, quint8, 0.1, 100, static_cast<std::uint64_t>(size)));
    expected.push_back(ops::conv2d(inputs.back(), packed2d({.engine = "reference"}), 0.7, 12));
  }
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  for (std::size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 60; ++i) {
        const std::size_t at = (i + t) % inputs.size();
        if (!equal(ops::conv2d(inputs[at], packed, 0.7, 12), expected[at])) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

TEST(Conv, RunsOnTheCallersPool) {
  const Tensor x = random_tensor({4, 4, 60, 61}, quint8, 0.1, 100, 2);
  const Tensor expected = ops::conv2d(x, packed2d(), 0.7, 12);
  const auto pool = testing::make_pool(3);
  set_thread_pool(pool.get());
  EXPECT_EQ(get_num_threads(), 3);
  const Tensor y = ops::conv2d(x, packed2d(), 0.7, 12);
  set_thread_pool(nullptr);
  EXPECT_TRUE(equal(y, expected));
}

TEST(Problem, PrintsAndParsesAsOneLine) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) {
    const ConvProblem p = testing::random_problem(random);
    EXPECT_EQ(ConvProblem::parse(p.to_string()), p) << p.to_string();
  }
}

TEST(Problem, CountsMultiplyAdds) {
  EXPECT_EQ(ConvProblem::parse("conv2d c64 k64 i56x56 f3x3 p1x1").multiply_adds(), 56LL * 56 * 9 * 64 * 64);
  EXPECT_EQ(ConvProblem::parse("conv_transpose2d c8 k4 g2 i5x5 f2x2 s2x2").multiply_adds(), 25LL * 4 * 8 * 2);
}

}  // namespace
}  // namespace qconv
