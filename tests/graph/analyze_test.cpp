// The figures of a report against the same figures computed another way.
#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>
#include <qconv/functional.hpp>
#include <qconv/io.hpp>
#include <qconv/quantize.hpp>
#include <qconv/report.hpp>

#include "graph/ir.hpp"
#include "graph/onnx_builder.hpp"

namespace qconv {
namespace {

using testing_graph::ModelBuilder;

Tensor wave(const Shape& sizes, double step) {
  std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(std::sin(step * static_cast<double>(i)) + 0.2);
  }
  return Tensor::from_data(values, sizes);
}

std::vector<Tensor> waves() {
  return {wave({1, 2, 9, 9}, 0.37), wave({1, 2, 9, 9}, 0.11), wave({1, 2, 9, 9}, 1.7)};
}

BatchSource one_by_one(std::vector<Tensor> batches) {
  return
      [batches = std::move(batches), next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
        if (next == batches.size()) return std::nullopt;
        return std::vector<Tensor>{batches[next++]};
      };
}

// x -> Conv -> Relu -> Conv -> y
Network two_convs() {
  ModelBuilder b;
  b.input("x", {-1, 2, 9, 9});
  b.floats("w1", {3, 2, 3, 3}, 54);
  b.floats("w2", {2, 3, 2, 2}, 24);
  b.node("Conv", {"x", "w1"}, "a");
  b.node("Relu", {"a"}, "r");
  b.node("Conv", {"r", "w2"}, "y");
  b.output("y");
  return b.load();
}

const LayerReport& layer_called(const NetworkReport& report, const std::string& name) {
  for (const LayerReport& layer : report.layers) {
    if (layer.info.name == name) return layer;
  }
  throw ValueError("no layer " + name);
}

double sqnr(const std::vector<float>& reference, const std::vector<float>& other) {
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    signal += std::pow(static_cast<double>(reference[i]), 2);
    noise += std::pow(static_cast<double>(reference[i]) - static_cast<double>(other[i]), 2);
  }
  return 10 * std::log10(signal / noise);
}

// The results of a layer in runs over the samples, one after the other.
std::vector<float> results(const Network& network, const std::string& layer,
                           const std::vector<Tensor>& samples) {
  std::vector<float> all;
  RunOptions options;
  options.tap = [&](const LayerResult& r) {
    if (r.name != layer) return;
    const std::vector<float> values = r.output.dequantize().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  };
  for (const Tensor& sample : samples) network.run(std::vector{sample}, options);
  return all;
}

const Tensor& weight_of(const Network& network, const std::string& layer) {
  for (const graph::Node& node : network.graph().nodes) {
    if (node.name == layer) return network.graph().value(node.inputs[1]).constant;
  }
  throw ValueError("no layer " + layer);
}

TEST(Analyze, AccumulatedErrorsAreThoseOfTheWholeRun) {
  const Network network = two_convs();
  const Network quantized = quantize(network, waves());
  const NetworkReport report = analyze(network, quantized, one_by_one(waves()), {.timing_seconds = 0});
  for (const std::string layer : {"a_node", "y_node"}) {
    const std::vector<float> expected = results(network, layer, waves());
    const LayerReport& row = layer_called(report, layer);
    ASSERT_TRUE(row.accumulated.has_value());
    EXPECT_NEAR(row.accumulated->sqnr_db, sqnr(expected, results(quantized, layer, waves())), 1e-9);
    EXPECT_EQ(row.reference, layer);
    EXPECT_EQ(row.values.count, expected.size());
    EXPECT_EQ(row.values.max, static_cast<double>(*std::max_element(expected.begin(), expected.end())));
  }
  EXPECT_EQ(report.batches, 3U);
  EXPECT_EQ(report.samples, 3U);
  ASSERT_EQ(report.outputs.size(), 1U);
  EXPECT_NEAR(report.outputs[0].error.sqnr_db, layer_called(report, "y_node").accumulated->sqnr_db, 1e-9);
  EXPECT_FALSE(report.outputs[0].samples.has_value());
  EXPECT_FALSE(report.other.microseconds.has_value());
  EXPECT_EQ(report.timed_runs, 0U);
}

TEST(Analyze, LocalErrorsAreThoseOfOneLayerOnFloatInputs) {
  const Network network = two_convs();
  const Network quantized = quantize(network, waves());
  const NetworkReport report = analyze(network, quantized, one_by_one(waves()), {.timing_seconds = 0});
  // The second convolution in float, between quantizations with the parameters that were chosen.
  const QuantizedRange before = layer_called(report, "a_node").range.value();
  const QuantizedRange after = layer_called(report, "y_node").range.value();
  std::vector<float> alone;
  for (const Tensor& sample : waves()) {
    const Tensor x = Tensor::from_data(results(network, "a_node", {sample}), Shape{1, 3, 7, 7});
    const Tensor rounded = dequantize(quantize_per_tensor(x, before.scale, before.zero_point, quint8));
    const Tensor y = functional::conv2d(rounded, weight_of(quantized, "y_node").dequantize(), std::nullopt);
    const Tensor result =
        dequantize(quantize_per_tensor(y.contiguous(), after.scale, after.zero_point, quint8));
    const std::vector<float> values = result.to_vector<float>();
    alone.insert(alone.end(), values.begin(), values.end());
  }
  const LayerReport& row = layer_called(report, "y_node");
  ASSERT_TRUE(row.local.has_value());
  // Integers and floats may round a tie apart.
  EXPECT_NEAR(row.local->sqnr_db, sqnr(results(network, "y_node", waves()), alone), 0.05);
  EXPECT_NE(row.local->sqnr_db, row.accumulated->sqnr_db);
  // Nothing comes before the first layer but the quantization of its input.
  const LayerReport& first = layer_called(report, "a_node");
  EXPECT_EQ(first.local->sqnr_db, first.accumulated->sqnr_db);
}

TEST(Analyze, RangesClippingAndWeightsAreCounted) {
  const Network network = two_convs();
  const std::vector<Tensor> small{wave({1, 2, 9, 9}, 0.11)};
  QuantizeOptions options;
  options.activation = with_args<MinMaxObserver>(ObserverOptions{});
  const Network quantized = quantize(network, small, options);
  // Data with values that calibration has not seen.
  std::vector<Tensor> large = waves();
  for (Tensor& t : large) t = functional::add(t, t);
  const NetworkReport report = analyze(network, quantized, one_by_one(large), {.timing_seconds = 0});
  const LayerReport& row = layer_called(report, "y_node");
  const QuantizedRange range = row.range.value();
  EXPECT_DOUBLE_EQ(range.low, range.scale * static_cast<double>(0 - range.zero_point));
  EXPECT_DOUBLE_EQ(range.high, range.scale * static_cast<double>(255 - range.zero_point));
  const std::vector<float> values = results(network, "y_node", large);
  const auto share = [&](const auto& outside) {
    return static_cast<double>(std::count_if(values.begin(), values.end(), outside)) /
           static_cast<double>(values.size());
  };
  EXPECT_EQ(range.clipped_below,
            share([&](float v) { return static_cast<double>(v) < range.low - range.scale / 2; }));
  EXPECT_EQ(range.clipped_above,
            share([&](float v) { return static_cast<double>(v) > range.high + range.scale / 2; }));
  EXPECT_GT(range.clipped_below + range.clipped_above, 0);
  ASSERT_TRUE(row.weight.has_value());
  EXPECT_EQ(row.weight->scales, weight_of(quantized, "y_node").qparams().scales);
  EXPECT_EQ(row.weight->values.count, 24U);
  EXPECT_EQ(row.weight->values.min, -0.5);
  EXPECT_NEAR(row.weight->sqnr_db.value(),
              sqnr(weight_of(network, "y_node").to_vector<float>(),
                   weight_of(quantized, "y_node").dequantize().to_vector<float>()),
              1e-9);
}

TEST(Analyze, ALimitThatStandsAloneBelongsToTheLayerBeforeIt) {
  ModelBuilder b;
  b.input("x", {1, 2, 9, 9});
  b.floats("w", {3, 2, 3, 3}, 54);
  b.tensor("lo", {}, onnx::TensorProto::FLOAT).add_float_data(0.1F);
  b.tensor("hi", {}, onnx::TensorProto::FLOAT).add_float_data(1.5F);
  b.node("Conv", {"x", "w"}, "a");
  b.node("Clip", {"a", "lo", "hi"}, "y");
  b.output("y");
  const Network network = b.load();
  const Network quantized = quantize(network, waves());
  const NetworkReport report = analyze(network, quantized, one_by_one(waves()), {.timing_seconds = 0});
  ASSERT_EQ(report.layers.size(), 4U) << quantized.summary();  // Quantize, Conv, Clip, Dequantize
  for (const LayerReport& layer : report.layers) {
    ASSERT_TRUE(layer.accumulated.has_value()) << layer.info.name;
    EXPECT_GT(layer.accumulated->sqnr_db, 25) << layer.info.name;
  }
  for (const LayerDifference& layer : compare_layers(network, quantized, waves())) {
    EXPECT_GT(layer.sqnr_db, 25) << layer.name;
  }
}

TEST(Analyze, SourcesTimesAndTop1OfDigits) {
  const std::filesystem::path digits =
      std::filesystem::path(QCONV_TEST_DATA).parent_path() / "examples" / "digits";
  const Network network = Network::load(digits / "digits.onnx");
  const Tensor images = load_npz(digits / "calibration.npz")[0].second.narrow(0, 0, 40);
  const Network quantized = quantize(network, std::vector{images});
  const NetworkReport report =
      analyze(network, quantized, one_by_one({images.narrow(0, 0, 30), images.narrow(0, 30, 10)}),
              {.timing_seconds = 0.01});
  EXPECT_EQ(report.samples, 40U);
  EXPECT_EQ(report.outputs[0].samples, 40U);
  EXPECT_GE(report.outputs[0].same_top1, 39U);
  EXPECT_GE(report.timed_runs, 3U);
  EXPECT_GT(report.reference.microseconds.value(), 0);
  const std::vector<LayerInfo> infos = quantized.layers(std::vector{Shape{30, 1, 8, 8}});
  ASSERT_EQ(report.layers.size(), infos.size());
  EXPECT_EQ(report.layers[0].sources, std::vector{-1});
  for (std::size_t i = 1; i < report.layers.size(); ++i) {
    const LayerReport& layer = report.layers[i];
    ASSERT_EQ(layer.sources.size(), layer.info.inputs.size());
    for (std::size_t k = 0; k < layer.sources.size(); ++k) {
      ASSERT_GE(layer.sources[k], 0);
      EXPECT_EQ(infos[static_cast<std::size_t>(layer.sources[k])].output.name, layer.info.inputs[k].name);
    }
    EXPECT_TRUE(layer.microseconds.has_value());
    EXPECT_EQ(layer.info.kernel, infos[i].kernel);
    EXPECT_EQ(layer.reference_microseconds.has_value(), layer.info.op != "DequantizeLinear");
  }
}

TEST(Analyze, EqualNetworksHaveNoError) {
  const Network network = two_convs();
  const NetworkReport report = analyze(network, network, one_by_one(waves()), {.timing_seconds = 0});
  for (const LayerReport& layer : report.layers) {
    EXPECT_TRUE(std::isinf(layer.accumulated->sqnr_db));
    EXPECT_FALSE(layer.local.has_value());
    EXPECT_FALSE(layer.range.has_value());
  }
}

TEST(Analyze, SaysWhatDoesNotFit) {
  const Network network = two_convs();
  EXPECT_THROW(analyze(network, network, one_by_one({})), ValueError);
  ModelBuilder b;
  b.input("x", {-1, 2, 9, 9});
  b.input("z", {-1, 2, 9, 9});
  b.node("Add", {"x", "z"}, "y");
  b.output("y");
  EXPECT_THROW(analyze(network, b.load(), one_by_one(waves())), ValueError);
}

}  // namespace
}  // namespace qconv
