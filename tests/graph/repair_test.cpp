// What repairs a network before and after it is quantized.
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <qconv/error.hpp>
#include <qconv/quantize_network.hpp>

#include "graph/passes/passes.hpp"
#include "graph/random_network.hpp"
#include "graph/repair/equalize.hpp"
#include "graph/repair/gram.hpp"
#include "graph/repair/weight_layout.hpp"

namespace qconv {
namespace {

using graph::Equalization;
using graph::Graph;
using graph::Node;
using testing::HasSubstr;
using testing_graph::ChainBuilder;
using testing_graph::random_tensor;

std::vector<Tensor> data(std::size_t count, std::int64_t channels = 3, std::int64_t size = 8) {
  std::vector<Tensor> batches;
  for (std::size_t i = 0; i < count; ++i) {
    batches.push_back(random_tensor({4, channels, size, size}, static_cast<unsigned>(i + 1)));
  }
  return batches;
}

// Inputs that are never negative: what they have in common lets errors cancel.
std::vector<Tensor> bright_data(std::size_t count, std::int64_t channels) {
  std::vector<Tensor> batches = data(count, channels);
  for (Tensor& x : batches) {
    float* values = x.mutable_data<float>();
    for (std::int64_t i = 0; i < x.numel(); ++i) values[i] += 1;
  }
  return batches;
}

QuantizeOptions min_max() { return {.activation = with_args<MinMaxObserver>(ObserverOptions{})}; }

double worst_difference(const Network& a, const Network& b, const Tensor& x) {
  const auto first = a.run(x).to_vector<float>();
  const auto second = b.run(x).to_vector<float>();
  double worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(first[i]) - static_cast<double>(second[i])));
    largest = std::max(largest, std::abs(static_cast<double>(first[i])));
  }
  return worst / std::max(largest, 1e-30);
}

double sqnr_db(const Network& real, const Network& other, const Tensor& x) {
  const auto expected = real.run(x).to_vector<float>();
  const auto actual = other.run(x).to_vector<float>();
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    signal += std::pow(static_cast<double>(expected[i]), 2);
    noise += std::pow(static_cast<double>(expected[i]) - static_cast<double>(actual[i]), 2);
  }
  return 10 * std::log10(signal / noise);
}

std::string message(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing thrown";
}

// The largest magnitudes of a layer's weights, by output or by input channel.
std::vector<double> ranges(const Graph& graph, const std::string& layer, bool outputs) {
  for (const Node& node : graph.nodes) {
    if (node.name != layer) continue;
    const graph::WeightLayout layout = layout_of(graph, node);
    std::vector<double> largest(static_cast<std::size_t>(outputs ? layout.out_channels : layout.in_channels));
    const auto w = graph.value(node.inputs[1]).constant.to_vector<float>();
    for (std::size_t i = 0; i < w.size(); ++i) {
      const auto element = static_cast<std::int64_t>(i);
      double& m = largest[static_cast<std::size_t>(outputs ? layout.out_of(element) : layout.in_of(element))];
      m = std::max(m, std::abs(static_cast<double>(w[i])));
    }
    return largest;
  }
  return {};
}

TEST(Equalize, KeepsTheFunctionAndMakesRangesEqual) {
  rc::check([] {
    const auto seed = *rc::gen::inRange(1U, 1000U);
    const auto activation = *rc::gen::element<std::string>("Relu", "LeakyRelu", "");
    const auto spread = *rc::gen::element(1.0F, 100.0F, 10000.0F);
    const Network network = ChainBuilder(seed)
                                .conv(6, 3, activation, false, spread)
                                .conv(6, 3, activation, true, 1 / spread)
                                .conv(5, 1, activation, false, spread)
                                .classify(4)
                                .load();
    Graph graph = network.graph();
    const Equalization done = graph::equalize(graph, false);
    RC_ASSERT(done.pairs == 3U);
    const Network after(graph, {});
    RC_ASSERT(worst_difference(network, after, random_tensor({2, 3, 8, 8}, seed + 7)) < 1e-5);
    const std::vector<std::string> chain{"conv1_node", "conv2_node", "conv3_node", "scores_node"};
    for (std::size_t l = 0; l + 1 < chain.size(); ++l) {
      const auto made = ranges(graph, chain[l], true);
      const auto read = ranges(graph, chain[l + 1], false);
      for (std::size_t c = 0; c < made.size(); ++c) {
        RC_ASSERT(std::abs(std::log(made[c] / read[c])) < 0.01);
      }
    }
  });
}

TEST(Equalize, LooksThroughPoolingAndFlatten) {
  ChainBuilder chain(3);
  chain.conv(6, 3, "Relu", false, 1000);
  testing_graph::ModelBuilder& b = chain.builder();
  onnx::NodeProto& pool = b.node("MaxPool", {"conv1.act"}, "p");
  testing_graph::ModelBuilder::ints(pool, "kernel_shape", {4, 4});
  testing_graph::ModelBuilder::ints(pool, "strides", {4, 4});
  b.node("Flatten", {"p"}, "f");
  chain.tensor("w", {4, 24}, testing_graph::Numbers(5).many(96));
  testing_graph::ModelBuilder::integer(b.node("Gemm", {"f", "w"}, "y"), "transB", 1);
  b.output("y");
  const Network network = b.load();
  Graph graph = network.graph();
  EXPECT_EQ(graph::equalize(graph, false).pairs, 1U);
  EXPECT_LT(worst_difference(network, Network(graph, {}), random_tensor({2, 3, 8, 8}, 9)), 1e-5);
  const auto made = ranges(graph, "conv1_node", true);
  const auto read = ranges(graph, "y_node", false);
  for (std::size_t c = 0; c < made.size(); ++c) {
    const double widest = *std::max_element(read.begin() + static_cast<std::ptrdiff_t>(4 * c),
                                            read.begin() + static_cast<std::ptrdiff_t>(4 * c + 4));
    EXPECT_NEAR(made[c] / widest, 1, 0.01);
  }
}

TEST(Equalize, LeavesAReLU6AloneUnlessTold) {
  const Network network = ChainBuilder(4).conv(6, 3, "Clip6", false, 50).conv(4, 1, "").load();
  Graph graph = network.graph();
  const Equalization kept = graph::equalize(graph, false);
  EXPECT_EQ(kept.pairs, 0U);
  EXPECT_THAT(kept.limited, testing::ElementsAre("conv1_node"));
  const Equalization replaced = graph::equalize(graph, true);
  EXPECT_EQ(replaced.pairs, 1U);
  EXPECT_EQ(replaced.clips, 1U);
  // The inputs are too small for the limit to matter, but in a channel that was spread.
  std::vector<std::string> notes;
  QuantizeOptions options = min_max();
  options.equalize = true;
  options.note = [&](const std::string& layer, const std::string&) { notes.push_back(layer); };
  quantize(network, data(2), options);
  EXPECT_THAT(notes, testing::Contains("conv1_node"));
}

TEST(Equalize, LeavesChannelsWithoutWeightsAndResultsWithOtherReaders) {
  ChainBuilder chain(5);
  chain.conv(4, 3).conv(4, 1, "").builder().node("Add", {"conv1.act", "conv2"}, "sum");
  chain.builder().output("sum");
  Graph graph = chain.builder().load().graph();
  EXPECT_EQ(graph::equalize(graph, false).pairs, 0U);

  Graph dead = ChainBuilder(6).conv(4, 3).conv(4, 1, "").load().graph();
  Tensor weight = dead.value(dead.nodes[0].inputs[1]).constant.clone();
  std::fill_n(weight.mutable_data<float>(), 27, 0.0F);
  dead.value(dead.nodes[0].inputs[1]).constant = weight;
  const Network before(dead, {});
  EXPECT_EQ(graph::equalize(dead, false).pairs, 1U);
  EXPECT_LT(worst_difference(before, Network(dead, {}), random_tensor({1, 3, 8, 8}, 2)), 1e-5);
}

TEST(Equalize, RecoversANetworkOfUnequalChannels) {
  const Network network = ChainBuilder(7)
                              .conv(8, 3, "Relu", false, 1000)
                              .conv(8, 3, "Relu", true, 1.0F / 1000)
                              .conv(8, 1, "Relu", false, 1000)
                              .classify(5)
                              .load();
  QuantizeOptions options = min_max();
  options.per_channel = false;
  const Tensor test = random_tensor({8, 3, 8, 8}, 99);
  const double plain = sqnr_db(network, quantize(network, data(4), options), test);
  options.equalize = true;
  const double equalized = sqnr_db(network, quantize(network, data(4), options), test);
  EXPECT_LT(plain, 15);
  EXPECT_GT(equalized, 25);
}

// The mean difference of each channel of the last layer, the largest in units of its float deviation.
double mean_error(const Network& real, const Network& other, const std::vector<Tensor>& batches) {
  std::vector<double> error;
  double power = 0;
  double rows = 0;
  for (const Tensor& x : batches) {
    const Tensor expected = real.run(x);
    const auto a = expected.to_vector<float>();
    const auto b = other.run(x).to_vector<float>();
    error.resize(static_cast<std::size_t>(expected.size(1)));
    for (std::size_t i = 0; i < a.size(); ++i) {
      error[i % error.size()] += static_cast<double>(b[i]) - static_cast<double>(a[i]);
      power += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    }
    rows += static_cast<double>(expected.size(0));
  }
  double largest = 0;
  for (const double e : error) largest = std::max(largest, std::abs(e / rows));
  return largest / std::sqrt(power / rows / static_cast<double>(error.size()));
}

TEST(BiasCorrection, TakesTheMeanErrorAway) {
  const Network network = ChainBuilder(11)
                              .conv(8, 3, "Relu", false, 30)
                              .conv(8, 3, "Relu", true)
                              .conv(8, 1, "Relu")
                              .classify(6)
                              .load();
  QuantizeOptions options = min_max();
  options.per_channel = false;
  const std::vector<Tensor> batches = data(6);
  const double before = mean_error(network, quantize(network, batches, options), batches);
  options.correct_bias = true;
  std::size_t steps = 0;
  options.on_step = [&](std::string_view step, std::size_t done, std::size_t total) {
    EXPECT_EQ(step, "correcting biases");
    EXPECT_EQ(total, 5U);
    EXPECT_EQ(done, steps++);
  };
  const double after = mean_error(network, quantize(network, batches, options), batches);
  // What is left is the rounding of 24 scores to 8 bits.
  EXPECT_GT(before, 0.003);
  EXPECT_LT(after, 0.2 * before);
  EXPECT_EQ(steps, 6U);
}

TEST(Repair, NeedsDataThatStartsOver) {
  const Network network = ChainBuilder(12).conv(4, 3).load();
  QuantizeOptions correct = min_max();
  correct.correct_bias = true;
  QuantizeOptions round = min_max();
  round.rounding = Rounding::adaptive;
  for (const QuantizeOptions& options : {correct, round}) {
    bool done = false;
    const BatchSource once = [&]() -> std::optional<std::vector<Tensor>> {
      if (done) return std::nullopt;
      done = true;
      return data(1);
    };
    EXPECT_THAT(message([&] { quantize(network, once, options); }), HasSubstr("starts over"));
  }
}

// The mean square error of each output channel of the first layer, on the data, that its integers make.
std::vector<double> weight_errors(const Network& real, const Network& quantized,
                                  const std::vector<Tensor>& batches) {
  const auto conv = [](const Graph& g) {
    return std::find_if(g.nodes.begin(), g.nodes.end(), [](const Node& n) { return n.name == "conv1_node"; });
  };
  Graph first = real.graph();
  Node node = *conv(first);
  graph::limits_of(node) = {};
  const auto w = first.value(node.inputs[1]).constant;
  const Tensor& q = quantized.graph().value(conv(quantized.graph())->inputs[1]).constant;
  const auto a = w.to_vector<float>();
  auto difference = q.dequantize().to_vector<float>();
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] -= a[i];
  node.inputs.resize(2);
  node.inputs[1] = first.add_constant("difference", Tensor::from_data(difference, w.sizes()));
  first.nodes = {node};
  first.outputs = {node.output};
  const Network alone(std::move(first), {});
  std::vector<double> errors;
  for (const Tensor& x : batches) {
    const Tensor y = alone.run(x);
    errors.resize(static_cast<std::size_t>(y.size(1)));
    for (std::int64_t c = 0; c < y.size(1); ++c) {
      for (const float v : y.select(1, c).to_vector<float>()) {
        errors[static_cast<std::size_t>(c)] += static_cast<double>(v) * static_cast<double>(v);
      }
    }
  }
  return errors;
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

TEST(AdaptiveRounding, IsNeverWorseThanNearest) {
  rc::check([] {
    const auto seed = *rc::gen::inRange(1U, 1000U);
    const bool depthwise = *rc::gen::arbitrary<bool>();
    const Network network = ChainBuilder(seed, 6).conv(6, 3, "Relu", depthwise).conv(5, 1).classify(4).load();
    const std::vector<Tensor> batches = *rc::gen::arbitrary<bool>() ? data(2, 6) : bright_data(2, 6);
    QuantizeOptions options = min_max();
    options.per_channel = *rc::gen::arbitrary<bool>();
    const auto nearest = weight_errors(network, quantize(network, batches, options), batches);
    options.rounding = Rounding::adaptive;
    const auto adaptive = weight_errors(network, quantize(network, batches, options), batches);
    for (std::size_t c = 0; c < nearest.size(); ++c) RC_ASSERT(adaptive[c] <= nearest[c] * (1 + 1e-6));
  });
}

TEST(AdaptiveRounding, LetsErrorsCancelWhereInputsAreAlike) {
  const Network network = ChainBuilder(31, 32).conv(4, 1, "").load();
  std::vector<Tensor> batches = data(2, 32);
  for (Tensor& x : batches) {
    float* values = x.mutable_data<float>();
    for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = values[i] * 0.01F + values[i % 64] + 1;
  }
  const auto nearest = weight_errors(network, quantize(network, batches, min_max()), batches);
  QuantizeOptions options = min_max();
  options.rounding = Rounding::adaptive;
  const Network rounded = quantize(network, batches, options);
  EXPECT_LT(sum(weight_errors(network, rounded, batches)), 0.05 * sum(nearest));
  // Both parts keep what the network computes in integers: what is written is what runs.
  const std::string bytes = rounded.to_onnx();
  EXPECT_TRUE(
      equal(Network::from_onnx(std::as_bytes(std::span(bytes))).run(batches[0]), rounded.run(batches[0])));
}

TEST(AdaptiveRounding, ReadsPaddingOfEveryMode) {
  // Gram matrices gather positions themselves; what they leave out would make them useless, not wrong.
  for (const std::string mode : {"constant", "reflect", "edge"}) {
    ChainBuilder chain(32, 4);
    testing_graph::ModelBuilder& b = chain.builder();
    onnx::NodeProto& pad = b.node("Pad", {"x", "pads"}, "padded");
    testing_graph::ModelBuilder::text(pad, "mode", mode);
    b.integers("pads", {0, 0, 2, 1, 0, 0, 1, 2});
    chain.tensor("w", {3, 4, 3, 3}, testing_graph::Numbers(33).many(108));
    b.node("Conv", {"padded", "w"}, "conv1");
    b.output("conv1");
    const Network network = b.load();
    const std::vector<Tensor> batches = bright_data(3, 4);
    QuantizeOptions options = min_max();
    const auto nearest = weight_errors(network, quantize(network, batches, options), batches);
    options.rounding = Rounding::adaptive;
    const auto adaptive = weight_errors(network, quantize(network, batches, options), batches);
    EXPECT_LT(sum(adaptive), 0.7 * sum(nearest)) << mode;
  }
}

TEST(AdaptiveRounding, GramIsTheMeanOfProducts) {
  // One channel, 3 x 3, no padding: by hand.
  ChainBuilder chain(34, 1, 3);
  chain.tensor("w", {1, 1, 2, 2}, {1, 2, 3, 4});
  chain.builder().node("Conv", {"x", "w"}, "y");
  chain.builder().output("y");
  const Network network = chain.builder().load();
  graph::Gram gram(network.graph(), network.graph().nodes[0]);
  gram.add(Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3}));
  gram.finish(false);
  // Vectors (1 2 4 5), (2 3 5 6), (4 5 7 8), (5 6 8 9).
  EXPECT_THAT(gram.matrix(0),
              testing::Pointwise(testing::FloatEq(),
                                 std::vector<float>{11.5F, 14.5F, 20.5F, 23.5F, 14.5F, 18.5F, 26.5F, 30.5F,
                                                    20.5F, 26.5F, 38.5F, 44.5F, 23.5F, 30.5F, 44.5F, 51.5F}));
}

TEST(Guards, ChannelsThatDoNothingAreNoted) {
  ChainBuilder chain(13);
  const Network made = chain.conv(5, 3).conv(4, 1, "").load();
  Graph graph = made.graph();
  Tensor weight = graph.value(graph.nodes[0].inputs[1]).constant.clone();
  std::fill_n(weight.mutable_data<float>() + 27, 27, 0.0F);  // channel 1
  graph.value(graph.nodes[0].inputs[1]).constant = weight;
  Tensor bias = graph.value(graph.nodes[0].inputs[2]).constant.clone();
  bias.mutable_data<float>()[1] = 50000;  // leaves int32 at the smallest scale
  bias.mutable_data<float>()[3] = -100;   // never active
  graph.value(graph.nodes[0].inputs[2]).constant = bias;
  const Network network(graph, {});
  std::map<std::string, std::string> notes;
  QuantizeOptions options = min_max();
  options.note = [&](const std::string& layer, const std::string& text) { notes[layer] += text + "\n"; };
  const Network quantized = quantize(network, data(2), options);
  EXPECT_THAT(notes["conv1_node"], HasSubstr("1 of 5 output channels (1): all weights are 0"));
  EXPECT_THAT(notes["conv1_node"], HasSubstr("1 of 5 output channels (3): 0 for all calibration data"));
  EXPECT_THAT(notes["conv1_node"],
              HasSubstr("1 of 5 output channels (1): weights so small beside their bias"));
  for (const Node& node : quantized.graph().nodes) {
    if (node.name != "conv1_node") continue;
    const QParams& q = quantized.graph().value(node.inputs[1]).constant.qparams();
    const double input_scale = quantized.graph().value(node.inputs[0]).qparams->scales[0];
    EXPECT_LE(50000 / (q.scales[1] * input_scale), 1 << 30);
  }
}

TEST(Guards, SumsThatWouldLeaveInt32StayFloat) {
  ChainBuilder chain(14, 67000, 1);
  const Network network = chain.conv(1, 1, "").load();
  Graph graph = network.graph();
  const std::vector<float> equal(67000, 0.01F);
  graph.value(graph.nodes[0].inputs[1]).constant = Tensor::from_data(equal, {1, 67000, 1, 1});
  std::vector<std::string> notes;
  QuantizeOptions options = min_max();
  options.note = [&](const std::string& layer, const std::string& text) {
    notes.push_back(layer + ": " + text);
  };
  const Network quantized = quantize(Network(graph, {}), data(1, 67000, 1), options);
  EXPECT_FALSE(quantized.quantized());
  ASSERT_FALSE(notes.empty());
  EXPECT_THAT(notes[0], HasSubstr("conv1_node: stays float: sums over its 67000 products"));
}

}  // namespace
}  // namespace qconv
