// Each rewrite on its own, and the memory plan.
#include "graph/passes/passes.hpp"

#include <cmath>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <qconv/error.hpp>
#include <qconv/io.hpp>
#include <qconv/network.hpp>

#include "graph/memory_plan.hpp"
#include "io/onnx.hpp"

namespace qconv::graph {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

const fs::path kModels = fs::path(QCONV_TEST_DATA) / "graph" / "models";

Graph read(const std::string& name) { return io::read_onnx(kModels / (name + ".onnx")); }

std::vector<std::string> ops(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.emplace_back(op_name(node.op));
  return names;
}

std::vector<Tensor> inputs_of(const std::string& name) {
  std::vector<Tensor> inputs;
  for (const auto& [key, tensor] : load_npz(kModels / (name + ".npz"))) {
    if (key.starts_with("in")) inputs.push_back(tensor);
  }
  return inputs;
}

// Applies the rewrite and checks that the network computes the same, up to `tolerance`. Returns the rewritten
// graph.
template <class Pass>
Graph rewritten(const std::string& name, const Pass& pass, int expected_count, float tolerance = 2e-6F) {
  Graph graph = read(name);
  const std::vector<Tensor> inputs = inputs_of(name);
  const Network before(graph, {});
  const auto expected = before.run(inputs);
  EXPECT_EQ(pass(graph), expected_count) << name;
  const auto actual = Network(graph, {}).run(inputs);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto a = actual[i].to_vector<float>();
    const auto e = expected[i].to_vector<float>();
    EXPECT_EQ(a.size(), e.size());
    float largest = 0;
    for (const float v : e) largest = std::max(largest, std::abs(v));
    for (std::size_t j = 0; j < std::min(a.size(), e.size()); ++j)
      EXPECT_NEAR(a[j], e[j], tolerance * (1 + largest));
  }
  return graph;
}

Tensor filled(const Shape& sizes, float value) {
  return Tensor::from_data(std::vector<float>(static_cast<std::size_t>(sizes.numel()), value), sizes);
}

TEST(Passes, ConstantsThatWouldOverflowAreNotFolded) {
  // ConvTranspose, BatchNormalization: a mean that large times a scale leaves float32.
  Graph graph = read("transpose_batch_norm");
  const auto norm = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                 [](const Node& n) { return std::holds_alternative<BatchNorm>(n.op); });
  ASSERT_NE(norm, graph.nodes.end());
  Tensor& mean = graph.value(norm->inputs[3]).constant;
  mean = filled(mean.sizes(), 3e38F);
  Tensor& scale = graph.value(norm->inputs[1]).constant;
  scale = filled(scale.sizes(), 100.0F);
  EXPECT_EQ(fold_batch_norm(graph), 0);

  Graph bias = read("bias_add");
  for (Value& v : bias.values) {
    if (v.is_constant() && v.constant.dim() <= 1) v.constant = filled(v.constant.sizes(), 3e38F);
  }
  fold_bias(bias);
  for (const Node& node : bias.nodes) {
    if (std::holds_alternative<Conv>(node.op) && node.input(2) != kNoValue) {
      EXPECT_TRUE(all_finite(bias.value(node.inputs[2]).constant)) << node.name;
    }
  }
}

TEST(FoldBatchNorm, IntoConvolutionsOfBothKinds) {
  EXPECT_THAT(ops(rewritten("residual", fold_batch_norm, 2)),
              ElementsAre("Conv", "Relu", "Conv", "Add", "Relu"));
  EXPECT_THAT(ops(rewritten("transpose_batch_norm", fold_batch_norm, 1)),
              ElementsAre("ConvTranspose", "Clip"));
  EXPECT_THAT(ops(rewritten("batch_norm_alone", fold_batch_norm, 0)), ElementsAre("BatchNormalization"));
}

TEST(FoldPad, IntoTheConvolution) {
  const std::map<std::string, PaddingMode> modes{{"reflect", PaddingMode::reflect},
                                                 {"edge", PaddingMode::replicate},
                                                 {"constant", PaddingMode::zeros},
                                                 {"wrap", PaddingMode::circular}};
  for (const auto& [name, mode] : modes) {
    const Graph graph = rewritten("conv_pad_" + name, fold_pad, 1);
    ASSERT_THAT(ops(graph), ElementsAre("Conv"));
    const ConvGeometry& g = std::get<Conv>(graph.nodes[0].op).geometry;
    EXPECT_EQ(g.padding_mode, mode);
    EXPECT_EQ(g.padding_begin, (Spatial{0, 1, 2}));
    EXPECT_EQ(g.padding_end, (Spatial{0, 2, 0}));
  }
  EXPECT_EQ(rewritten("pad_arithmetic", fold_pad, 0).nodes.size(), 1U);
}

TEST(FoldBias, ConstantsAddedAfterwards) {
  EXPECT_THAT(ops(rewritten("bias_add", fold_bias, 2)),
              ElementsAre("Conv", "Relu", "Flatten", "Gemm", "Softmax"));
  EXPECT_THAT(ops(rewritten("residual", fold_bias, 0)), testing::SizeIs(7));
}

TEST(FuseRelu, BecomesTheRange) {
  const Graph clip = rewritten(
      "transpose_batch_norm", [](Graph& g) { return fold_batch_norm(g) + fuse_relu(g); }, 2);
  ASSERT_THAT(ops(clip), ElementsAre("ConvTranspose"));
  EXPECT_EQ(std::get<Conv>(clip.nodes[0].op).range, (Range{0, 0.6F}));
  EXPECT_THAT(ops(rewritten("relu", fuse_relu, 0)), ElementsAre("Relu"));
  // The input of the Relu is an output of the network too.
  EXPECT_THAT(ops(rewritten("two_inputs", fuse_relu, 0)), ElementsAre("Add", "Relu"));
}

TEST(FuseAdd, EitherOperandAndTheLaterConvolution) {
  const auto all = [](Graph& g) { return fold_batch_norm(g) + fuse_relu(g) + fuse_add(g); };
  EXPECT_THAT(ops(rewritten("residual", all, 5)), ElementsAre("Conv", "Conv"));
  const Graph both = rewritten("residual_downsample", fuse_add, 1);
  ASSERT_THAT(ops(both), ElementsAre("Conv", "Conv"));
  EXPECT_NE(both.nodes[1].input(3), kNoValue);
  EXPECT_EQ(both.nodes[0].input(3), kNoValue);
  EXPECT_THAT(ops(rewritten("add_broadcast", fuse_add, 0)), ElementsAre("Add"));
}

TEST(LowerQdq, EverythingBecomesIntegers) {
  Graph graph = read("qdq_mixed_uint8");
  fuse(graph);
  EXPECT_GT(lower_qdq(graph), 5);
  EXPECT_THAT(ops(graph),
              ElementsAre("QuantizeLinear", "MaxPool", "AveragePool", "Concat", "ConvTranspose", "Clip",
                          "Resize", "GlobalAveragePool", "Reshape", "Gemm", "DequantizeLinear"));
  // Limits that are no edges of the integers stay as a Clip of integers.
  EXPECT_TRUE(is_quantized(graph.value(graph.nodes[5].output).dtype));
  EXPECT_EQ(lower_qdq(graph), 0);
}

TEST(Ranges, TheSecondLimitsTheFirst) {
  EXPECT_EQ(intersect({0, 6}, {-1, 3}), (Range{0, 3}));
  EXPECT_EQ(intersect({0, 6}, {8, 9}), (Range{8, 8}));
  EXPECT_EQ(intersect({}, {0, 6}), (Range{0, 6}));
}

TEST(SortNodes, OrdersAndFindsCycles) {
  Graph graph = read("residual");
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  sort_nodes(graph);
  const Uses uses(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId v : graph.nodes[i].inputs) {
      EXPECT_TRUE(v == kNoValue || uses.producer(v) < static_cast<int>(i));
    }
  }
  graph.nodes[0].inputs[0] = graph.nodes.back().output;
  EXPECT_THROW(sort_nodes(graph), ValueError);
}

TEST(MemoryPlan, LiveTensorsNeverOverlap) {
  const bool ok = rc::check("live tensors never overlap", [] {
    const int count = *rc::gen::inRange(0, 40);
    std::vector<Lifetime> tensors;
    for (int i = 0; i < count; ++i) {
      const int first = *rc::gen::inRange(0, 30);
      tensors.push_back(
          {static_cast<std::size_t>(*rc::gen::inRange(0, 5000)), first, first + *rc::gen::inRange(0, 10)});
    }
    const MemoryPlan plan = plan_memory(tensors);
    std::size_t total = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      RC_ASSERT(plan.offsets[i] % 64 == 0U);
      RC_ASSERT(plan.offsets[i] + tensors[i].bytes <= plan.peak_bytes);
      total += tensors[i].bytes;
      for (std::size_t j = 0; j < i; ++j) {
        const bool together = tensors[i].first <= tensors[j].last && tensors[j].first <= tensors[i].last;
        const bool apart = plan.offsets[i] + tensors[i].bytes <= plan.offsets[j] ||
                           plan.offsets[j] + tensors[j].bytes <= plan.offsets[i];
        RC_ASSERT(!together || apart);
      }
    }
    RC_ASSERT(plan.peak_bytes <= plan.total_bytes);
    RC_ASSERT(total <= plan.total_bytes);
  });
  EXPECT_TRUE(ok);
}

TEST(MemoryPlan, AChainNeedsTwoBuffers) {
  std::vector<Lifetime> chain;
  for (int i = 0; i < 10; ++i) chain.push_back({1024, i, i + 1});
  EXPECT_EQ(plan_memory(chain).peak_bytes, 2048U);
  EXPECT_EQ(plan_memory(chain).total_bytes, 10240U);
  EXPECT_THROW(plan_memory(std::vector<Lifetime>(4, {~std::size_t{0} / 4, 0, 1})), ValueError);
}

}  // namespace
}  // namespace qconv::graph
