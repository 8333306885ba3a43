// What quantizing single layers costs, and which layers a limit leaves in int8.
#include <algorithm>
#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>
#include <qconv/quantize_search.hpp>

#include "graph/passes/passes.hpp"
#include "graph/random_network.hpp"

namespace qconv {
namespace {

using graph::Graph;
using graph::Node;
using testing::HasSubstr;
using testing_graph::ChainBuilder;
using testing_graph::random_tensor;

std::vector<Tensor> inputs(std::size_t count) {
  std::vector<Tensor> batches;
  for (std::size_t i = 0; i < count; ++i) {
    batches.push_back(random_tensor({4, 3, 8, 8}, static_cast<unsigned>(i + 1)));
  }
  return batches;
}

QuantizeOptions min_max_per_channel() { return {.activation = with_args<MinMaxObserver>(ObserverOptions{})}; }
QuantizeOptions min_max_per_tensor() {
  QuantizeOptions options = min_max_per_channel();
  options.per_channel = false;
  return options;
}

std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing thrown";
}

// Layer 2 has one weight that leaves nothing to the others when one scale must do for all.
Network with_a_bad_layer() {
  const Network made = ChainBuilder(21).conv(8, 3).conv(8, 3).conv(8, 3).classify(6).load();
  Graph graph = made.graph();
  for (Node& node : graph.nodes) {
    if (node.name != "conv2_node") continue;
    Tensor weight = graph.value(node.inputs[1]).constant.clone();
    weight.mutable_data<float>()[0] = 100;
    Tensor bias = graph.value(node.inputs[2]).constant.clone();
    bias.mutable_data<float>()[0] = -1000;  // the channel is never active
    graph.value(node.inputs[1]).constant = weight;
    graph.value(node.inputs[2]).constant = bias;
  }
  return {std::move(graph), {}};
}

BatchSource source(std::vector<Tensor> batches) {
  return
      [batches = std::move(batches), next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
        if (next == batches.size()) {
          next = 0;
          return std::nullopt;
        }
        return std::vector<Tensor>{batches[next++]};
      };
}

TEST(Search, SensitivityPointsAtTheBadLayer) {
  const Network network = with_a_bad_layer();
  SearchOptions options;
  options.quantize = min_max_per_tensor();
  std::size_t evaluations = 0;
  options.progress = [&](std::string_view, std::size_t n) { evaluations = n; };
  const auto layers = sensitivity(network, source(inputs(3)), options);
  ASSERT_EQ(layers.size(), 5U);  // three convolutions, pooling, linear
  EXPECT_EQ(evaluations, 9U);
  for (const LayerSensitivity& layer : layers) {
    EXPECT_EQ(layer.alone.samples, 12U);
    EXPECT_TRUE(std::isnan(layer.alone.top1));
    if (layer.name == "conv2_node") {
      EXPECT_LT(layer.alone.sqnr_db, 15);
    } else {
      EXPECT_GT(layer.alone.sqnr_db, 30) << layer.name;
    }
  }
  EXPECT_EQ(layers[0].alone.sqnr_db, layers[0].up_to_here.sqnr_db);
  EXPECT_LT(layers[4].up_to_here.sqnr_db, 15);
}

TEST(Search, KeepsTheKnownBadLayerOnly) {
  const Network network = with_a_bad_layer();
  SearchOptions options;
  options.quantize = min_max_per_tensor();
  options.metric = Metric::sqnr;
  options.limit = 25;
  // A scale per channel is enough for it.
  const SearchResult finer = quantize_within(network, source(inputs(3)), options);
  ASSERT_EQ(finer.kept.size(), 1U);
  EXPECT_EQ(finer.kept[0].name, "conv2_node");
  EXPECT_FALSE(finer.kept[0].real);
  EXPECT_GE(finer.quality.sqnr_db, 25);
  EXPECT_LT(finer.unrestricted.sqnr_db, 25);
  EXPECT_EQ(finer.layers, 5U);
  EXPECT_LT(finer.evaluations, 14U);
  for (const LayerInfo& layer : finer.network.layers()) {
    EXPECT_EQ(layer.quantized, layer.op != "QuantizeLinear" && layer.op != "DequantizeLinear") << layer.name;
  }
  // Where nothing is wrong, nothing is kept, and one evaluation says so.
  options.limit = -100;
  const SearchResult all = quantize_within(network, source(inputs(3)), options);
  EXPECT_TRUE(all.kept.empty());
  EXPECT_EQ(all.evaluations, 1U);
}

TEST(Search, KeepsLayersInFloatWhereThatIsAllThatHelps) {
  // The channel of the large weight is active for one bright pixel: per channel or not, the range of its
  // result leaves no room for the others.
  const Network network = with_a_bad_layer();
  Graph graph = network.graph();
  for (Node& node : graph.nodes) {
    if (node.name != "conv2_node") continue;
    Tensor bias = graph.value(node.inputs[2]).constant.clone();
    bias.mutable_data<float>()[0] = 0;
    graph.value(node.inputs[2]).constant = bias;
  }
  for (Node& node : graph.nodes) {
    if (node.name != "conv3_node") continue;
    Tensor weight = graph.value(node.inputs[1]).constant.clone();
    for (std::int64_t o = 0; o < 8; ++o) std::fill_n(weight.mutable_data<float>() + o * 72, 9, 1e-4F);
    graph.value(node.inputs[1]).constant = weight;
  }
  SearchOptions options;
  options.quantize = min_max_per_channel();
  options.metric = Metric::sqnr;
  options.limit = 25;
  const SearchResult result = quantize_within(Network(graph, {}), source(inputs(3)), options);
  EXPECT_GE(result.quality.sqnr_db, 25);
  ASSERT_FALSE(result.kept.empty());
  EXPECT_LT(result.kept.size(), 4U);
  for (const KeptLayer& layer : result.kept) {
    EXPECT_TRUE(layer.real);
    const auto layers = result.network.layers();
    const auto kept =
        std::find_if(layers.begin(), layers.end(), [&](const LayerInfo& l) { return l.name == layer.name; });
    ASSERT_NE(kept, layers.end());
    EXPECT_FALSE(kept->quantized);
  }
}

TEST(Search, JudgesByLabels) {
  const Network network = with_a_bad_layer();
  SearchOptions options;
  options.quantize = min_max_per_tensor();
  options.metric = Metric::top1;
  options.limit = 0;
  const std::vector<Tensor> batches = inputs(10);
  for (const Tensor& x : batches) {
    const auto scores = network.run(x).to_vector<float>();
    for (std::size_t n = 0; n < 4; ++n) {
      const auto first = scores.begin() + static_cast<std::ptrdiff_t>(6 * n);
      options.labels.push_back(std::max_element(first, first + 6) - first);
    }
  }
  const SearchResult result = quantize_within(network, source(batches), options);
  EXPECT_EQ(result.real.top1, 100);
  EXPECT_EQ(result.quality.top1, 100);
  EXPECT_EQ(result.quality.agreement, 100);
}

TEST(Search, MistakesAreExplained) {
  const Network network = with_a_bad_layer();
  SearchOptions options;
  options.quantize = min_max_per_channel();
  const auto search = [&] { quantize_within(network, source(inputs(2)), options); };
  options.metric = Metric::top1;
  EXPECT_THAT(complaint(search), HasSubstr("top1 needs labels"));
  options.labels = {1, 2};
  EXPECT_THAT(complaint(search), HasSubstr("got 2 labels"));
  options.labels.assign(8, 6);
  EXPECT_THAT(complaint(search), HasSubstr("label 6 is not one of the 6 classes"));
  options.labels.assign(9, 1);
  EXPECT_THAT(complaint(search), HasSubstr("9 labels for 8 samples"));
  options.labels.clear();
  options.metric = Metric::agreement;
  options.limit = -1;
  EXPECT_THAT(complaint(search), HasSubstr("expected 0 or more"));
  options.limit = std::nan("");
  EXPECT_THAT(complaint(search), HasSubstr("expected a number"));
  options.metric = Metric::psnr;
  options.limit = 1000;
  EXPECT_THAT(complaint(search), HasSubstr("does not hold with any layer quantized"));
  options.evaluation = source({});
  EXPECT_THAT(complaint(search), HasSubstr("no evaluation data"));
}

}  // namespace
}  // namespace qconv
