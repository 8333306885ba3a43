// Every model of models/ (make_models.py): read, run, compared with what onnxruntime computed.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/io.hpp>
#include <qconv/network.hpp>

#include "graph/onnx_checker.hpp"

namespace qconv {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(QCONV_TEST_DATA) / "graph" / "models";

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (entry.path().extension() == ".onnx") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Case {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  float step = 0;
};

Case load_case(const std::string& name) {
  Case c;
  for (const auto& [key, tensor] : load_npz(kModels / (name + ".npz"))) {
    if (key.starts_with("in")) c.inputs.push_back(tensor);
    if (key.starts_with("out")) c.outputs.push_back(tensor);
    if (key == "step") c.step = tensor.to_vector<float>()[0];
  }
  return c;
}

// The largest difference; infinite when the sizes differ.
float difference(const Tensor& a, const Tensor& b) {
  if (!(a.sizes() == b.sizes())) return std::numeric_limits<float>::infinity();
  const auto x = a.to_vector<float>();
  const auto y = b.to_vector<float>();
  float worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

float largest(const Tensor& t) {
  float most = 0;
  for (const float v : t.to_vector<float>()) most = std::max(most, std::abs(v));
  return most;
}

class OnnxModel : public testing::TestWithParam<std::string> {};

TEST_P(OnnxModel, ComputesWhatOnnxruntimeDoes) {
  const Case c = load_case(GetParam());
  const Network network = Network::load(kModels / (GetParam() + ".onnx"));
  const std::vector<Tensor> outputs = network.run(c.inputs);
  ASSERT_EQ(outputs.size(), c.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_LE(difference(outputs[i], c.outputs[i]), c.step * 1.001F + 2e-6F * (10 + largest(c.outputs[i])))
        << network.summary();
  }
}

TEST_P(OnnxModel, ComputesTheSameAfterWritingAndReading) {
  const Case c = load_case(GetParam());
  const Network network = Network::load(kModels / (GetParam() + ".onnx"));
  const std::string bytes = network.to_onnx();
  EXPECT_EQ(testing_graph::checker_complaint(bytes), "");
  const Network again = Network::from_onnx(std::as_bytes(std::span(bytes)));
  ASSERT_EQ(again.inputs().size(), network.inputs().size());
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    EXPECT_EQ(again.inputs()[i].to_string(), network.inputs()[i].to_string());
  }
  const std::vector<Tensor> expected = network.run(c.inputs);
  const std::vector<Tensor> outputs = again.run(c.inputs);
  ASSERT_EQ(outputs.size(), expected.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_TRUE(equal(outputs[i], expected[i]));
  EXPECT_EQ(again.layers().size(), network.layers().size());
  EXPECT_EQ(again.quantized(), network.quantized());
  // From here on, nothing changes any more.
  EXPECT_EQ(again.to_onnx(), bytes);
}

TEST_P(OnnxModel, QuantizedOperationsAreRecognized) {
  const Network network = Network::load(kModels / (GetParam() + ".onnx"));
  if (!GetParam().starts_with("qdq_") && !GetParam().starts_with("qlinear")) {
    EXPECT_FALSE(network.quantized());
    return;
  }
  const auto layers = network.layers();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool border = layers[i].op == "QuantizeLinear" || layers[i].op == "DequantizeLinear";
    EXPECT_TRUE(layers[i].quantized || border) << layers[i].name << "\n" << network.summary();
  }
}

TEST_P(OnnxModel, DescribesEveryLayer) {
  const Case c = load_case(GetParam());
  const Network network = Network::load(kModels / (GetParam() + ".onnx"));
  std::vector<Shape> sizes;
  for (const Tensor& t : c.inputs) sizes.push_back(t.sizes());
  std::vector<LayerTime> times;
  std::size_t taps = 0;
  const auto layers = network.layers(sizes);
  const RunOptions options{.tap =
                               [&](const LayerResult& r) {
                                 EXPECT_EQ(r.index, taps);
                                 EXPECT_EQ(r.name, layers[taps].name);
                                 EXPECT_EQ(r.output.sizes(), *layers[taps].output.sizes);
                                 EXPECT_EQ(r.output.dtype(), layers[taps].output.dtype);
                                 ++taps;
                               },
                           .profile = &times};
  network.run(c.inputs, options);
  EXPECT_EQ(taps, layers.size());
  EXPECT_EQ(times.size(), layers.size());
  const MemoryUse use = network.memory(sizes);
  EXPECT_LE(use.peak_bytes, use.bytes_without_reuse);
}

INSTANTIATE_TEST_SUITE_P(All, OnnxModel, testing::ValuesIn(model_names()),
                         [](const auto& model) { return model.param; });

TEST(OnnxModels, AreAllThere) { EXPECT_GE(model_names().size(), 100U); }

}  // namespace
}  // namespace qconv
