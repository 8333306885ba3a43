// Quantizing networks: accuracy on the demo's networks, equal results on both engines and after a round trip.
#include <atomic>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>
#include <qconv/functional.hpp>
#include <qconv/io.hpp>
#include <qconv/quantize_network.hpp>

#include "graph/onnx_checker.hpp"

namespace qconv {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kModels = fs::path(QCONV_TEST_DATA) / "graph" / "models";
const fs::path kExamples = fs::path(QCONV_TEST_DATA).parent_path() / "examples";

Tensor array(const fs::path& file, std::string_view name) {
  for (const auto& [key, tensor] : load_npz(file)) {
    if (key == name) return tensor;
  }
  throw FileError("no such array");
}

// Positive numbers that look random, the same every time.
Tensor noise(const Shape& sizes, unsigned seed = 1) {
  std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
  std::uint32_t state = seed * 2654435761U + 12345U;
  for (float& v : values) {
    state = state * 1664525U + 1013904223U;
    v = static_cast<float>(state >> 8) / 16777216.0F;
  }
  return Tensor::from_data(values, sizes);
}

Network reloaded(const Network& network, const NetworkOptions& options = {}) {
  const std::string bytes = network.to_onnx();
  return Network::from_onnx(std::as_bytes(std::span(bytes)), "again", options);
}

double top1(const Tensor& scores, const Tensor& labels) {
  const auto s = scores.to_vector<float>();
  const auto l = labels.to_vector<std::int64_t>();
  const std::size_t classes = s.size() / l.size();
  std::size_t right = 0;
  for (std::size_t i = 0; i < l.size(); ++i) {
    const auto first = s.begin() + static_cast<std::ptrdiff_t>(i * classes);
    right += std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) - first == l[i] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(l.size());
}

class Digits : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    network_ = new Network(Network::load(kExamples / "digits" / "digits.onnx"));
    const Tensor calibration = array(kExamples / "digits" / "calibration.npz", "images");
    quantized_ = new Network(quantize(*network_, std::vector{calibration}));
  }
  static void TearDownTestSuite() {
    delete network_;
    delete quantized_;
  }
  static inline Network* network_ = nullptr;
  static inline Network* quantized_ = nullptr;
};

TEST_F(Digits, LosesNoAccuracy) {
  const Tensor images = array(kExamples / "digits" / "test.npz", "images");
  const Tensor labels = array(kExamples / "digits" / "test.npz", "labels");
  const double floating = top1(network_->run(images), labels);
  const double integer = top1(quantized_->run(images), labels);
  EXPECT_GE(floating, 0.98);
  EXPECT_GE(integer, floating - 0.005);
  EXPECT_LT(static_cast<double>(quantized_->weight_bytes()),
            0.27 * static_cast<double>(network_->weight_bytes()));
}

TEST_F(Digits, EveryLayerBetweenTheBordersIsQuantized) {
  const auto layers = quantized_->layers();
  EXPECT_EQ(layers.front().op, "QuantizeLinear");
  EXPECT_EQ(layers.back().op, "DequantizeLinear");
  for (std::size_t i = 1; i + 1 < layers.size(); ++i) EXPECT_TRUE(layers[i].quantized) << layers[i].name;
  EXPECT_EQ(layers.size(), network_->layers().size() + 2);
}

TEST_F(Digits, GivesTheSameBytesOnEveryEngineAndAfterARoundTrip) {
  const Tensor images = array(kExamples / "digits" / "test.npz", "images").narrow(0, 0, 20);
  const Tensor expected = quantized_->run(images);
  EXPECT_EQ(reloaded(*quantized_).to_onnx(), quantized_->to_onnx());
  EXPECT_EQ(testing_graph::checker_complaint(quantized_->to_onnx()), "");
  EXPECT_TRUE(equal(reloaded(*quantized_).run(images), expected));
  EXPECT_TRUE(equal(reloaded(*quantized_, {.engine = "reference"}).run(images), expected));
}

TEST_F(Digits, RunsFromManyThreadsWithManySizes) {
  const Tensor images = array(kExamples / "digits" / "test.npz", "images");
  const Tensor expected = quantized_->run(images.narrow(0, 0, 24));
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 12; ++i) {
        const std::int64_t first = (t + i) % 12;
        const std::int64_t count = 1 + (t * 5 + i) % 12;
        const Tensor part = quantized_->run(images.narrow(0, first, count));
        if (!equal(part, expected.narrow(0, first, count))) ++wrong;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Digits, AnEmptyBatchIsLegal) {
  EXPECT_EQ(quantized_->run(Tensor::zeros({0, 1, 8, 8}, float32)).sizes(), (Shape{0, 10}));
  EXPECT_EQ(network_->run(Tensor::zeros({0, 1, 8, 8}, float32)).sizes(), (Shape{0, 10}));
}

TEST_F(Digits, LayersCompareWell) {
  const Tensor images = array(kExamples / "digits" / "test.npz", "images").narrow(0, 0, 50);
  const auto differences = compare_layers(*network_, *quantized_, std::vector{images});
  EXPECT_EQ(differences.size(), network_->layers().size());
  for (const LayerDifference& d : differences) EXPECT_GT(d.sqnr_db, 20) << d.name;
  for (const LayerDifference& d : compare_layers(*network_, *network_, std::vector{images})) {
    EXPECT_TRUE(std::isinf(d.sqnr_db)) << d.name;
  }
}

TEST_F(Digits, MistakesAreExplained) {
  const auto message = [](const auto& act) -> std::string {
    try {
      act();
    } catch (const Error& e) {
      return e.what();
    }
    return "nothing thrown";
  };
  const std::vector<Tensor> none;
  EXPECT_THAT(message([&] { quantize(*network_, none); }), HasSubstr("no calibration data"));
  const std::vector<Tensor> nan{Tensor::from_data(std::vector<float>(64, std::nanf("")), {1, 1, 8, 8})};
  EXPECT_THAT(message([&] { quantize(*network_, nan); }), HasSubstr("'input'"));
  const std::vector<Tensor> good{noise({1, 1, 8, 8})};
  EXPECT_THAT(message([&] { quantize(*network_, good, {.exclude_layers = {"nobody"}}); }),
              HasSubstr("'nobody'"));
  EXPECT_THAT(message([&] { quantize(*network_, good, {.exclude_ops = {"Sigmoid"}}); }),
              HasSubstr("'Sigmoid'"));
  EXPECT_THAT(message([&] {
                network_->run(noise({1, 2, 8, 8}));
              }),
              HasSubstr("(-1, 1, 8, 8), got (1, 2, 8, 8)"));
  EXPECT_THAT(message([&] {
                network_->run(Tensor::zeros({1, 1, 8, 8}, int32));
              }),
              HasSubstr("must be float32, got Tensor(int32"));
  EXPECT_THAT(message([&] {
                network_->run(std::vector<NamedTensor>{{"x", good[0]}});
              }),
              HasSubstr("no input 'x'; its inputs are input"));
}

TEST_F(Digits, ExcludedLayersStayFloat) {
  const Tensor images = array(kExamples / "digits" / "calibration.npz", "images");
  const Network mixed =
      quantize(*network_, std::vector{images},
               {.exclude_layers = {"/classify/Gemm"}, .exclude_ops = {"GlobalAveragePool"}});
  for (const LayerInfo& layer : mixed.layers()) {
    const bool excluded =
        layer.op == "GlobalAveragePool" || layer.op == "Flatten" || layer.name == "/classify/Gemm";
    const bool border = layer.op == "QuantizeLinear" || layer.op == "DequantizeLinear";
    EXPECT_EQ(layer.quantized, !excluded && !border) << layer.name;
  }
  const Tensor few = images.narrow(0, 0, 9);
  EXPECT_TRUE(equal(reloaded(mixed).run(few), mixed.run(few)));
}

TEST_F(Digits, PatternsExclude) {
  const std::vector<Tensor> images{array(kExamples / "digits" / "calibration.npz", "images")};
  const Network mixed =
      quantize(*network_, images, {.exclude_layers = {"/block?/*"}, .exclude_ops = {"Gem?"}});
  for (const LayerInfo& layer : mixed.layers()) {
    if (layer.op == "Gemm" || (layer.op == "Conv" && layer.name.starts_with("/block"))) {
      EXPECT_FALSE(layer.quantized) << layer.name;
    } else if (layer.op == "Conv") {
      EXPECT_TRUE(layer.quantized) << layer.name;
    }
  }
}

TEST_F(Digits, TheLastRuleThatFitsCounts) {
  const std::vector<Tensor> images{array(kExamples / "digits" / "calibration.npz", "images")};
  const ObserverFactory fixed = with_args<FixedQParamsObserver>(0.5, 3);
  const ObserverFactory input = with_args<FixedQParamsObserver>(0.25, 1);
  const Network ruled = quantize(*network_, images,
                                 {.exclude_ops = {"Conv"},
                                  .rules = {{.layer = "/stem/*", .exclude = false},
                                            {.op = "Conv", .activation = fixed, .per_channel = false},
                                            {.layer = "/down*", .exclude = false, .per_channel = true},
                                            {.op = "Input", .activation = input}}});
  for (const LayerInfo& layer : ruled.layers()) {
    if (layer.op == "Conv") {
      EXPECT_EQ(layer.quantized, layer.name.starts_with("/stem/") || layer.name.starts_with("/down"));
      if (layer.quantized) {
        EXPECT_EQ(layer.output.qparams->scales[0], 0.5);
      }
    }
  }
  EXPECT_EQ(ruled.layers().front().output.qparams, QParams::per_tensor(0.25, 1));
  const Tensor few = images[0].narrow(0, 0, 9);
  EXPECT_TRUE(equal(reloaded(ruled).run(few), ruled.run(few)));
}

TEST_F(Digits, ActivationsOfTwoTypesRun) {
  const std::vector<Tensor> images{array(kExamples / "digits" / "calibration.npz", "images")};
  const ObserverFactory is_signed = with_args<MSEObserver>(ObserverOptions{.dtype = qint8});
  const Network mixed =
      quantize(*network_, images, {.rules = {{.layer = "/block1/*", .activation = is_signed}}});
  const Tensor test = array(kExamples / "digits" / "test.npz", "images");
  EXPECT_GE(top1(mixed.run(test), array(kExamples / "digits" / "test.npz", "labels")), 0.97);
  const Tensor few = test.narrow(0, 0, 9);
  EXPECT_TRUE(equal(reloaded(mixed).run(few), mixed.run(few)));
  EXPECT_TRUE(equal(reloaded(mixed, {.engine = "reference"}).run(few), mixed.run(few)));
}

TEST_F(Digits, RulesThatCannotBeMeantAreExplained) {
  const std::vector<Tensor> images{noise({1, 1, 8, 8})};
  const auto message = [&](const QuantizeRule& rule) -> std::string {
    try {
      quantize(*network_, images, {.exclude_layers = {"/classify/*"}, .rules = {{.exclude = false}, rule}});
    } catch (const Error& e) {
      return e.what();
    }
    return "nothing thrown";
  };
  const ObserverFactory observer = with_args<MinMaxObserver>(ObserverOptions{});
  EXPECT_THAT(message({.layer = "x*", .exclude = true}),
              HasSubstr("quantize: rules[1]: no layer fits name 'x*' and operator '*'"));
  EXPECT_THAT(message({.op = "Gemm", .where = "my rule"}), HasSubstr("my rule: it changes nothing"));
  EXPECT_THAT(message({.op = "Flatten", .activation = observer}),
              HasSubstr("rules[1]: it sets an observer, but the layers that it fits"));
  EXPECT_THAT(message({.activation = with_args<MinMaxObserver>(ObserverOptions{.dtype = qint32})}),
              HasSubstr("activations are quantized to quint8 or qint8"));
}

// Samples `first` to `last` one by one.
BatchSource samples(const Tensor& images, std::int64_t first, std::int64_t last) {
  return [=, next = first]() mutable -> std::optional<std::vector<Tensor>> {
    if (next == last) return std::nullopt;
    return std::vector<Tensor>{images.narrow(0, next++, 1)};
  };
}

TEST_F(Digits, SharesMergeToTheNetworkOfOneProcess) {
  const Tensor images = array(kExamples / "digits" / "calibration.npz", "images");
  const ObserverFactory factories[] = {
      with_args<MinMaxObserver>(ObserverOptions{}), with_args<PercentileObserver>(ObserverOptions{}),
      with_args<EntropyObserver>(ObserverOptions{}), with_args<MSEObserver>(ObserverOptions{})};
  for (const ObserverFactory& factory : factories) {
    SCOPED_TRACE(factory()->name());
    const QuantizeOptions options{.activation = factory};
    Calibration all(*network_, options);
    for (const auto& [first, last] :
         {std::pair{0, 5}, {5, 5}, {5, 6}, {6, 40}}) {  // one of them sees nothing
      Calibration share(*network_, options);
      share.observe(samples(images, first, last));
      all.merge_state(decode_safetensors(encode_safetensors(share.state_dict())));
    }
    EXPECT_EQ(all.quantize().to_onnx(), quantize(*network_, samples(images, 0, 40), options).to_onnx());
  }
}

TEST_F(Digits, SharesOfHistogramsKeepRangeAndTotal) {
  const Tensor images = array(kExamples / "digits" / "calibration.npz", "images");
  Calibration all(*network_);
  Calibration mine(*network_);
  Calibration other(*network_);
  all.observe(samples(images, 0, 40));
  mine.observe(samples(images, 0, 20));
  other.observe(samples(images, 20, 40));
  mine.merge_state(other.state_dict());
  const StateDict merged = mine.state_dict();
  for (const auto& [key, expected] : all.state_dict()) {
    const auto a = expected.to_vector<float>();
    const auto b = merged.find(key)->to_vector<float>();
    if (key.ends_with("histogram")) {
      const double total = std::accumulate(a.begin(), a.end(), 0.0);
      EXPECT_NEAR(std::accumulate(b.begin(), b.end(), 0.0), total, 1e-6 * total) << key;
    } else {
      EXPECT_EQ(a, b) << key;
    }
  }
}

TEST_F(Digits, StatesOfOtherCalibrationsAreRefused) {
  const Tensor images = array(kExamples / "digits" / "calibration.npz", "images");
  Calibration minmax(*network_, {.activation = with_args<MinMaxObserver>(ObserverOptions{})});
  const auto complaint_about = [&](const StateDict& state) -> std::string {
    try {
      minmax.merge_state(state);
    } catch (const ValueError& e) {
      return e.what();
    }
    return {};
  };
  EXPECT_THAT(complaint_about(Calibration(*network_).state_dict()), HasSubstr("of another calibration"));
  EXPECT_THAT(complaint_about({}), HasSubstr("a state of 0 entries"));
  StateDict renamed = minmax.state_dict();
  renamed.erase("0.max_val");
  renamed.set("0.maximum", Tensor::scalar(1));
  EXPECT_THAT(complaint_about(renamed), HasSubstr("the state of 'input': MinMaxObserver: "));
  EXPECT_THROW(minmax.quantize(), ValueError);
}

TEST_F(Digits, SignedActivationsAndOneScalePerWeight) {
  const Tensor calibration = array(kExamples / "digits" / "calibration.npz", "images");
  const Network other = quantize(
      *network_, std::vector{calibration},
      {.activation = with_args<MinMaxObserver>(ObserverOptions{.dtype = qint8}), .per_channel = false});
  const Tensor images = array(kExamples / "digits" / "test.npz", "images");
  const Tensor labels = array(kExamples / "digits" / "test.npz", "labels");
  EXPECT_GE(top1(other.run(images), labels), 0.97);
  const Tensor few = images.narrow(0, 0, 9);
  EXPECT_TRUE(equal(reloaded(other).run(few), other.run(few)));
}

TEST(Photo, QuantizedPictureIsClose) {
  const Network network = Network::load(kExamples / "photo" / "photo_x2.onnx");
  const std::vector<Tensor> calibration{noise({1, 3, 24, 32}, 1), noise({1, 3, 30, 20}, 2)};
  const Network quantized = quantize(network, calibration);
  const Tensor picture = noise({1, 3, 17, 23}, 3);
  const auto expected = network.run(picture).to_vector<float>();
  const Tensor result = quantized.run(picture);
  EXPECT_EQ(result.sizes(), (Shape{1, 3, 34, 46}));
  const auto actual = result.to_vector<float>();
  double noise_power = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    noise_power +=
        std::pow(static_cast<double>(actual[i] - expected[i]), 2) / static_cast<double>(actual.size());
  }
  EXPECT_GT(-10 * std::log10(noise_power), 30) << quantized.summary();
  EXPECT_TRUE(equal(reloaded(quantized).run(picture), result));
  EXPECT_TRUE(equal(reloaded(quantized, {.engine = "reference"}).run(picture), result));
}

std::vector<std::string> float_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".onnx" && !name.starts_with("q")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A pool of one thread that counts what it runs, and memory that counts what it gives.
struct CountingPool : ThreadPool {
  std::atomic<int> loops = 0;
  int num_threads() const noexcept override { return 2; }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    ++loops;
    for (std::size_t i = 0; i < count; ++i) task(context, i);
  }
};
struct CountingAllocator : Allocator {
  std::atomic<int> blocks = 0;
  std::atomic<std::size_t> bytes = 0;
  void* allocate(std::size_t size, std::size_t alignment) override {
    ++blocks;
    bytes += size;
    return ::operator new(size, std::align_val_t(alignment));
  }
  void deallocate(void* memory, std::size_t size) noexcept override {
    --blocks;
    bytes -= size;
    ::operator delete(memory, std::align_val_t(64));
  }
};

TEST(NetworkOptions, RunsOnTheCallersThreadsAndMemory) {
  const fs::path file = kModels / "qdq_conv_uint8.onnx";
  CountingPool pool;
  CountingAllocator allocator;
  // So many that they are worth threads.
  const std::vector<Tensor> copies(512, load_npz(kModels / "qdq_conv_uint8.npz")[0].second);
  const Tensor image = functional::cat(copies, 0);
  const Tensor expected = Network::load(file).run(image);
  {
    const Network network = Network::load(file, {.pool = &pool, .allocator = &allocator});
    EXPECT_EQ(allocator.blocks, 0);
    EXPECT_TRUE(equal(network.run(image), expected));
    EXPECT_EQ(allocator.blocks, 1);
    EXPECT_GE(allocator.bytes, network.memory(std::vector{image.sizes()}).peak_bytes);
    EXPECT_TRUE(equal(network.run(image), expected));
    EXPECT_EQ(allocator.blocks, 1);  // kept for the next run
    EXPECT_GT(pool.loops, 0);
  }
  EXPECT_EQ(allocator.blocks, 0);
  EXPECT_EQ(allocator.bytes, 0U);
}

class QuantizedModel : public testing::TestWithParam<std::string> {};

TEST_P(QuantizedModel, IsCloseToFloatAndTheSameOnBothEngines) {
  const Network network = Network::load(kModels / (GetParam() + ".onnx"));
  std::vector<Tensor> inputs;
  for (const auto& [key, tensor] : load_npz(kModels / (GetParam() + ".npz"))) {
    if (key.starts_with("in")) inputs.push_back(tensor);
  }
  bool done = false;
  const BatchSource once = [&]() -> std::optional<std::vector<Tensor>> {
    if (done) return std::nullopt;
    done = true;
    return inputs;
  };
  const QuantizeOptions options{.activation = with_args<MinMaxObserver>(ObserverOptions{})};
  std::optional<Network> quantized;
  try {
    quantized = quantize(network, once, options);
  } catch (const ValueError& e) {
    EXPECT_THAT(e.what(), HasSubstr("can be quantized"));
    return;  // it has nothing but float operations and those that move elements
  }
  EXPECT_EQ(reloaded(*quantized).to_onnx(), quantized->to_onnx());
  EXPECT_EQ(testing_graph::checker_complaint(quantized->to_onnx()), "");
  const auto expected = network.run(inputs);
  const auto actual = quantized->run(inputs);
  const auto reference = reloaded(*quantized, {.engine = "reference"}).run(inputs);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(equal(actual[i], reference[i]));
    const auto a = actual[i].to_vector<float>();
    const auto e = expected[i].to_vector<float>();
    const float range = *std::max_element(e.begin(), e.end()) - *std::min_element(e.begin(), e.end());
    // Single elements may be further off than the rest together: 15 dB of signal to noise.
    double signal = 0;
    double noise = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      ASSERT_NEAR(a[j], e[j], 0.3F * range + 1e-3F) << quantized->summary();
      signal += std::pow(static_cast<double>(e[j]), 2);
      noise += std::pow(static_cast<double>(a[j]) - static_cast<double>(e[j]), 2);
    }
    EXPECT_LE(noise, signal * std::pow(10, -1.5) + 1e-6) << quantized->summary();
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedModel, testing::ValuesIn(float_models()),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace qconv
