// Networks through fuse_modules, prepare, calibration and convert, against PyTorch
// (tests/golden/networks.py): the calibrated observers agree; from PyTorch's prepared state, conversion gives
// its state and its output to the bit.
#include <qconv/nn/quantization.hpp>
#include <qconv/nn/quantized_functional.hpp>

#include "nn/training_support.hpp"
#include "support/golden.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using nlohmann::json;

// The network of that name in networks.py.
class Residual final : public nn::ModuleOf<Residual> {
 public:
  explicit Residual(bool normalized_up) {
    register_module("quant", nn::QuantStub());
    register_module("conv1", nn::Conv2d(3, 8, 3, 2, 1, 1, 1, false));
    register_module("bn1", nn::BatchNorm2d(8));
    register_module("relu1", nn::ReLU());
    register_module("block", nn::Sequential(nn::Conv2d(8, 8, 3, 1, 1, 1, 2, false), nn::BatchNorm2d(8),
                                            nn::ReLU(), nn::Conv2d(8, 8, 3, 1, 1), nn::BatchNorm2d(8)));
    register_module("skip", nnq::FloatFunctional());
    register_module("up", nn::ConvTranspose2d(8, 4, 3, 2, 1, 1));
    if (normalized_up) {
      register_module("upbn", nn::BatchNorm2d(4));
    } else {
      register_module("upbn", nn::Identity());
    }
    register_module("head", nn::Conv2d(4, 5, 1));
    register_module("dequant", nn::DeQuantStub());
  }
  std::string name() const override { return "Residual"; }
  Tensor forward(const Tensor& input) const {
    const Tensor x = child("relu1")(child("bn1")(child("conv1")(child("quant")(input))));
    const Tensor sum = child_as<nnq::Functional>("skip").add_relu(x, child("block")(x));
    return child("dequant")(child("head")(child("upbn")(child("up")(sum))));
  }
};

template <class Conv, class Up, class Norm>
std::shared_ptr<nn::Module> stack(bool normalized_up) {
  auto made = std::make_shared<nn::Sequential>(nn::QuantStub(), Conv(3, 6, 3, 1, 1), Norm(6), nn::ReLU(),
                                               Up(6, 4, 2, 2));
  if (normalized_up) {
    made->append(Norm(4));
  } else {
    made->append(nn::Identity());
  }
  made->append(nn::ReLU()).append(Conv(4, 2, 2)).append(nn::ReLU()).append(nn::DeQuantStub());
  return made;
}

std::shared_ptr<nn::Module> network(const json& c) {
  const std::string name = c.at("network");
  const bool normalized_up = !c.at("trained");  // no fusing of transposed convolutions for training
  if (name == "residual") return std::make_shared<Residual>(normalized_up);
  if (name == "stack1") return stack<nn::Conv1d, nn::ConvTranspose1d, nn::BatchNorm1d>(normalized_up);
  if (name == "stack2") return stack<nn::Conv2d, nn::ConvTranspose2d, nn::BatchNorm2d>(normalized_up);
  return stack<nn::Conv3d, nn::ConvTranspose3d, nn::BatchNorm3d>(normalized_up);
}

Tensor entry(const json& record, const GoldenBlob& blob) {
  if (record.is_null()) return {};
  const std::string dtype = record.at("dtype");
  if (dtype == "float32") return blob.tensor<float>(record);
  if (dtype == "int64") return blob.tensor<std::int64_t>(record);
  if (dtype == "int32") return blob.tensor<std::int32_t>(record);
  if (dtype == "uint8") return blob.tensor<std::uint8_t>(record);
  QParams q{record.at("scales").get<std::vector<double>>(), {}, record.value("axis", -1)};
  q.zero_points.resize(q.scales.size());
  return make_quantized(blob.tensor<std::int8_t>(record), q);
}

StateDict state_of(const json& entries, const GoldenBlob& blob) {
  StateDict state;
  for (const auto& [key, record] : entries.items()) state.set(key, entry(record, blob));
  return state;
}

std::shared_ptr<nn::Module> prepared(const json& c, const GoldenBlob& blob) {
  const bool trained = c.at("trained");
  const std::shared_ptr<nn::Module> net = network(c);
  EXPECT_TRUE(net->load_state_dict(state_of(c.at("float"), blob)).ok());
  net->train(trained);
  const auto lists = c.at("fuse").get<std::vector<nn::ModuleNames>>();
  const auto fused = trained ? nn::fuse_modules_qat(*net, lists) : nn::fuse_modules(*net, lists);
  const std::string name = c.at("qconfig");
  if (name == "default_qconfig") {
    fused->qconfig = default_qconfig();
  } else if (name == "moving_average") {
    fused->qconfig = {with_args<MovingAverageMinMaxObserver>(ObserverOptions{.averaging_constant = 0.25}),
                      default_weight_observer()};
  } else {
    fused->qconfig = trained ? get_default_qat_qconfig(name) : get_default_qconfig(name);
  }
  if (c.contains("transposed")) {
    // PyTorch's kernels take no per-channel weights there.
    fused->get_submodule(c.at("transposed").get<std::string>())->qconfig = {
        fused->qconfig->activation, trained ? default_fused_wt_fake_quant() : default_weight_observer()};
  }
  return trained ? nn::prepare_qat(*fused) : nn::prepare(*fused);
}

// Histograms count values near the borders of their bins, so they are compared by their sums.
void expect_calibrated(const StateDict& found, const StateDict& expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [key, tensor] : expected) {
    ASSERT_NE(found.find(key), nullptr) << key;
    const Tensor& mine = *found.find(key);
    if (key.ends_with("histogram")) {
      double sums[2] = {};
      for (const float v : mine.to_vector<float>()) sums[0] += v;
      for (const float v : tensor.to_vector<float>()) sums[1] += v;
      EXPECT_NEAR(sums[0], sums[1], 1e-3) << key;
    } else {
      EXPECT_TRUE(near(mine, tensor, 2e-5)) << key;
    }
  }
}

void expect_network(const json& c, const GoldenBlob& blob) {
  const std::shared_ptr<nn::Module> net = prepared(c, blob);
  const StateDict expected = state_of(c.at("prepared"), blob);
  if (!c.at("trained")) {
    for (const json& batch : c.at("batches")) (*net)(blob.tensor<float>(batch));
    expect_calibrated(net->state_dict(), expected);
  }
  const nn::LoadResult loaded = net->load_state_dict(expected);
  ASSERT_TRUE(loaded.ok()) << loaded.to_string();
  const Tensor x = blob.tensor<float>(c.at("x"));
  if (c.at("trained")) {
    // Where a convolution's sum lies next to a tie, a layer is one step off, and so may be what follows.
    const std::shared_ptr<nn::Module> simulated = net->clone();
    simulated->eval();
    nn::disable_observer(*simulated);
    EXPECT_TRUE(near((*simulated)(x), blob.tensor<float>(c.at("simulated")), 0.1));
  }
  const StateDict before = net->state_dict();
  const std::shared_ptr<nn::Module> quantized = nn::convert(*net);
  for (const auto& [key, tensor] : net->state_dict()) EXPECT_TRUE(equal(tensor, *before.find(key))) << key;

  const std::vector<nn::Module::Child> modules = quantized->named_modules();
  EXPECT_EQ(modules.size(), c.at("classes").size());
  for (const auto& [path, module] : modules) {
    const std::string expected_class = c.at("classes").at(path);
    EXPECT_TRUE(module->name() == expected_class || module->name() == "Quantized" + expected_class)
        << path << " is a " << module->name();
  }

  const StateDict converted = state_of(c.at("converted"), blob);
  const StateDict mine = quantized->state_dict();
  EXPECT_EQ(mine.size(), converted.size());
  for (const auto& [key, tensor] : converted) {
    ASSERT_NE(mine.find(key), nullptr) << key;
    ASSERT_EQ(mine.find(key)->defined(), tensor.defined()) << key;
    if (tensor.defined()) {
      EXPECT_TRUE(equal(*mine.find(key), tensor)) << key;
    }
  }
  EXPECT_TRUE(equal((*quantized)(x), blob.tensor<float>(c.at("y"))));
}

TEST(GoldenNetworks, EqualPyTorch) {
  const GoldenBlob blob("networks");
  const json document = golden_json("networks");
  ASSERT_GE(document.at("cases").size(), 9U);
  for (const json& c : document.at("cases")) {
    SCOPED_TRACE(c.at("network").get<std::string>() + " " + c.at("qconfig").get<std::string>() +
                 (c.at("trained") ? " trained" : ""));
    expect_network(c, blob);
  }
}

}  // namespace
}  // namespace qconv
