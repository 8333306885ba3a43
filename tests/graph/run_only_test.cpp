// Networks that let their weights go once they are packed.
#include <gmock/gmock.h>

#include <qconv/error.hpp>
#include <qconv/quantize_network.hpp>
#include <qconv/report.hpp>

#include "graph/ir.hpp"
#include "graph/random_network.hpp"

namespace qconv {
namespace {

using testing_graph::ChainBuilder;
using testing_graph::random_tensor;

// Layers that Winograd's kernels may run for large inputs, a depthwise one, and a classifier.
std::string quantized_bytes() {
  ChainBuilder builder(3, 3, 16);
  builder.conv(32, 3).conv(64, 3, "Relu").conv(64, 3, "Relu", true).classify(9);
  return quantize(builder.load(), std::vector{random_tensor({2, 3, 16, 16}, 1)}).to_onnx();
}

Network load(const std::string& bytes, bool run_only) {
  return Network::from_onnx(std::as_bytes(std::span(bytes)), "chain.onnx", {.run_only = run_only});
}

std::size_t hollow_weights(const Network& network) {
  std::size_t count = 0;
  for (const graph::Value& value : network.graph().values) {
    if (!value.is_constant() || value.constant.numel() < 2) continue;
    const Shape& strides = value.constant.strides();
    count += std::all_of(strides.begin(), strides.end(), [](auto stride) { return stride == 0; }) ? 1 : 0;
  }
  return count;
}

TEST(RunOnly, GivesTheSameBytes) {
  const std::string bytes = quantized_bytes();
  const Network whole = load(bytes, false);
  const Network run_only = load(bytes, true);
  for (const std::int64_t batch : {1, 3}) {
    const Tensor input = random_tensor({batch, 3, 16, 16}, 4);
    EXPECT_TRUE(equal(run_only.run(input), whole.run(input))) << batch;
  }
  EXPECT_EQ(run_only.parameters(), whole.parameters());
  EXPECT_EQ(run_only.weight_bytes(), whole.weight_bytes());
}

TEST(RunOnly, LetsTheWeightsGo) {
  const std::string bytes = quantized_bytes();
  EXPECT_EQ(hollow_weights(load(bytes, false)), 0U);
  EXPECT_EQ(hollow_weights(load(bytes, true)), 4U);
}

TEST(RunOnly, WhatReadsWeightsSaysThatTheyAreGone) {
  const std::string bytes = quantized_bytes();
  const Network whole = load(bytes, false);
  const Network run_only = load(bytes, true);
  const std::vector<Tensor> batch{random_tensor({1, 3, 16, 16}, 4)};
  const auto data = [&batch, given = false]() mutable {
    given = !given;
    return given ? std::optional(batch) : std::nullopt;
  };
  const auto says = [](const char* who) {
    return testing::ThrowsMessage<ValueError>(
        testing::AllOf(testing::StartsWith(who), testing::HasSubstr("load it without run_only")));
  };
  EXPECT_NO_THROW(whole.to_onnx());
  EXPECT_THAT([&] { run_only.to_onnx(); }, says("save: "));
  EXPECT_THAT([&] { quantize(run_only, batch); }, says("quantize: "));
  EXPECT_THAT([&] { analyze(run_only, whole, data); }, says("analyze: "));
  EXPECT_THAT([&] { analyze(whole, run_only, data); }, says("analyze: "));
}

}  // namespace
}  // namespace qconv
