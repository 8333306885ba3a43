// Files that PyTorch wrote (make_torch_fixtures.py), against what PyTorch says is in them.
#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using nlohmann::json;

const TorchLoadOptions kNet{.safe_globals = {"__main__.Net"}};

fs::path torch_fixture(const std::string& name) { return fs::path(QCONV_TEST_DATA) / "io" / "torch" / name; }

// What PyTorch 2.15 and 1.13 wrote.
class TorchFixtures : public testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return fs::path(QCONV_TEST_DATA) / "io" / GetParam(); }
  json expected_files() const { return json::parse(read_text(folder() / "expected.json")).at("files"); }
};
INSTANTIATE_TEST_SUITE_P(Versions, TorchFixtures, testing::Values("torch", "torch1"));

double number_of(const json& value) {
  return value.is_string() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

template <class T>
void expect_values(const Tensor& tensor, const json& values) {
  const std::vector<T> got = tensor.to_vector<T>();
  ASSERT_EQ(got.size(), values.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      EXPECT_EQ(got[i], static_cast<T>(number_of(values[i])));
    } else {
      EXPECT_EQ(std::int64_t{got[i]}, values[i].get<std::int64_t>());
    }
  }
}

void expect_tensor(const Tensor& tensor, const json& expected) {
  ASSERT_EQ(tensor.defined(), !expected.is_null());
  if (expected.is_null()) return;
  EXPECT_EQ(to_string(tensor.dtype()), expected.at("dtype").get<std::string>());
  EXPECT_EQ(tensor.sizes().vec(), expected.at("sizes").get<std::vector<std::int64_t>>());
  if (expected.contains("strides")) {
    EXPECT_EQ(tensor.strides().vec(), expected.at("strides").get<std::vector<std::int64_t>>());
  }
  if (tensor.is_quantized()) {
    EXPECT_EQ(tensor.qparams().scales, expected.at("scales").get<std::vector<double>>());
    EXPECT_EQ(tensor.qparams().zero_points, expected.at("zero_points").get<std::vector<std::int64_t>>());
    EXPECT_EQ(tensor.qparams().axis, expected.value("axis", -1));
  }
  switch (info(tensor.dtype()).storage) {
    case float32:
      return expect_values<float>(tensor, expected.at("values"));
    case float64:
      return expect_values<double>(tensor, expected.at("values"));
    case int32:
      return expect_values<std::int32_t>(tensor, expected.at("values"));
    case int64:
      return expect_values<std::int64_t>(tensor, expected.at("values"));
    case uint8:
      return expect_values<std::uint8_t>(tensor, expected.at("values"));
    default:
      return expect_values<std::int8_t>(tensor, expected.at("values"));
  }
}

void expect_state(const StateDict& state, const json& expected) {
  EXPECT_EQ(state.size(), expected.size());
  for (const json& entry : expected) {
    const auto name = entry.at(0).get<std::string>();
    SCOPED_TRACE(name);
    const Tensor* tensor = state.find(name);
    ASSERT_NE(tensor, nullptr);
    expect_tensor(*tensor, entry.at(1));
  }
}

using Integers = std::vector<std::int64_t>;

void expect_convolution(const TorchConvolution& conv, const json& expected) {
  SCOPED_TRACE(conv.name);
  const auto list = [&](const char* key) { return expected.at(key).get<Integers>(); };
  EXPECT_EQ(conv.name, expected.at("name").get<std::string>());
  EXPECT_EQ(conv.class_name, expected.at("class").get<std::string>());
  const nn::quantized::ConvState& state = conv.state;
  EXPECT_EQ(state.in_channels, expected.at("in_channels").get<std::int64_t>());
  EXPECT_EQ(state.out_channels, expected.at("out_channels").get<std::int64_t>());
  EXPECT_EQ(state.kernel_size, list("kernel_size"));
  EXPECT_EQ(state.stride, list("stride"));
  EXPECT_EQ(state.padding, list("padding"));
  EXPECT_EQ(state.dilation, list("dilation"));
  EXPECT_EQ(state.transposed, expected.at("transposed").get<bool>());
  EXPECT_EQ(state.output_padding, list("output_padding"));
  EXPECT_EQ(state.groups, expected.at("groups").get<std::int64_t>());
  EXPECT_EQ(to_string(state.padding_mode), expected.at("padding_mode").get<std::string>());
  EXPECT_EQ(state.scale, expected.at("scale").get<double>());
  EXPECT_EQ(state.zero_point, expected.at("zero_point").get<std::int64_t>());
  EXPECT_EQ(state.training, expected.at("training").get<bool>());
  // The class that PyTorch has, with the weights that the file has.
  const std::unique_ptr<nn::Module> module = conv.make();
  const std::string simple = conv.class_name.substr(conv.class_name.rfind('.') + 1);
  const bool dynamic = conv.class_name.find(".dynamic.") != std::string::npos;
  EXPECT_EQ(module->name(), (dynamic ? "DynamicQuantized" : "Quantized") + simple);
  EXPECT_TRUE(equal(*module->state_dict().find("weight"), state.weight));
}

void expect_packed(const TorchPackedParams& packed, const json& expected) {
  SCOPED_TRACE(packed.name);
  EXPECT_EQ(packed.name, expected.at("name").get<std::string>());
  expect_tensor(packed.weight, expected.at("weight"));
  expect_tensor(packed.bias.value_or(Tensor()), expected.at("bias"));
  const PackedParams params = packed.prepack();
  EXPECT_EQ(params->stride(), expected.at("stride").get<Integers>());
  EXPECT_EQ(params->padding(), expected.at("padding").get<Integers>());
  EXPECT_EQ(params->dilation(), expected.at("dilation").get<Integers>());
  EXPECT_EQ(params->output_padding(), expected.at("output_padding").get<Integers>());
  EXPECT_EQ(params->groups(), expected.at("groups").get<std::int64_t>());
  EXPECT_EQ(params->transpose(), expected.at("transposed").get<bool>());
  EXPECT_TRUE(equal(params->weight(), packed.weight));
}

TEST_P(TorchFixtures, HoldWhatPyTorchSays) {
  const json files = expected_files();
  EXPECT_GE(files.size(), 11U);
  for (const auto& [name, expected] : files.items()) {
    SCOPED_TRACE(name);
    const TorchFile file = load_torch_file(folder() / name, kNet);
    EXPECT_EQ(to_string(file.kind), expected.at("kind").get<std::string>());
    expect_state(file.state, expected.at("state"));
    EXPECT_EQ(file.texts, (expected.at("texts").get<std::map<std::string, std::string>>()));
    ASSERT_EQ(file.convolutions.size(), expected.at("convolutions").size());
    for (std::size_t i = 0; i < file.convolutions.size(); ++i) {
      expect_convolution(file.convolutions[i], expected.at("convolutions").at(i));
    }
    ASSERT_EQ(file.packed_params.size(), expected.at("packed").size());
    for (std::size_t i = 0; i < file.packed_params.size(); ++i) {
      expect_packed(file.packed_params[i], expected.at("packed").at(i));
    }
  }
}

// The result of a module that is one of these classes; undefined when it is none.
template <class... Classes>
Tensor run_as(const nn::Module& module, const Tensor& x) {
  Tensor result;
  const auto try_one = [&](const auto* typed) {
    if (typed != nullptr) result = typed->forward(x);
  };
  (try_one(dynamic_cast<const Classes*>(&module)), ...);
  return result;
}

TEST(TorchFiles, ModulesComputeWhatPyTorchDoes) {
  namespace nnq = nn::quantized;
  namespace nniq = nn::intrinsic::quantized;
  const TorchFile file = load_torch_file(torch_fixture("classes.pt"));
  const json all = json::parse(read_text(torch_fixture("expected.json")));
  ASSERT_EQ(all.at("runs").size(), 10U);
  for (const json& run : all.at("runs")) {
    const auto name = run.at("name").get<std::string>();
    SCOPED_TRACE(name);
    const auto conv = std::find_if(file.convolutions.begin(), file.convolutions.end(),
                                   [&](const TorchConvolution& c) { return c.name == name; });
    ASSERT_NE(conv, file.convolutions.end());
    const json& input = run.at("input");
    const auto values = input.at("values").get<std::vector<std::uint8_t>>();
    const Tensor x = make_quantized(Tensor::from_data(values, input.at("sizes").get<Integers>()),
                                    QParams::per_tensor(input.at("scales").at(0).get<double>(),
                                                        input.at("zero_points").at(0).get<std::int64_t>()));
    json output = run.at("output");
    output.erase("strides");  // ours are channels-last
    expect_tensor(
        run_as<nnq::Conv1d, nnq::Conv2d, nnq::Conv3d, nnq::ConvTranspose1d, nnq::ConvTranspose2d,
               nnq::ConvTranspose3d, nniq::ConvReLU1d, nniq::ConvReLU2d, nniq::ConvReLU3d>(*conv->make(), x),
        output);
  }
}

TEST_P(TorchFixtures, FrozenNetworksKeepTheirPackedParameters) {
  const TorchFile file = load_torch_file(folder() / "frozen.pt");
  const TorchFile whole = load_torch_file(folder() / "net.pt", kNet);
  EXPECT_EQ(file.kind, TorchFileKind::torchscript);
  ASSERT_EQ(file.packed_params.size(), whole.convolutions.size());
  for (std::size_t i = 0; i < file.packed_params.size(); ++i) {
    const nn::quantized::ConvState& conv = whole.convolutions[i].state;
    EXPECT_EQ(file.packed_params[i].geometry, conv.geometry("test"));
    EXPECT_TRUE(equal(file.packed_params[i].weight, conv.weight));
    EXPECT_TRUE(equal(*file.packed_params[i].bias, *conv.bias));
  }
  EXPECT_TRUE(equal(*file.state.find("constants.2.weight"), *whole.state.find("fc.weight")));
}

TEST(TorchFiles, SharedMemoryStaysShared) {
  StateDict state = load_torch(torch_fixture("tensors.pt"));
  const Tensor base = *state.find("base");
  const auto* first = base.data<float>();
  EXPECT_EQ(state.find("columns")->data<float>(), first + 1);
  EXPECT_EQ(state.find("transposed")->data<float>(), first);
  EXPECT_NE(state.find("expanded")->data<float>(), first);
  // Written to in one place, seen in the others.
  Tensor written = base;
  written.mutable_data<float>()[1] = 1234;
  EXPECT_EQ(state.find("columns")->data<float>()[0], 1234);
  EXPECT_EQ(state.find("transposed")->select(0, 1).select(0, 0).item(), 1234);
}

TEST(TorchFiles, AUsersClassIsNamedUnlessItIsKnown) {
  EXPECT_THAT(file_error([&] { load_torch(torch_fixture("net.pt")); }),
              testing::HasSubstr(
                  "entry 'net/data.pkl': names '__main__.Net', which PyTorch's own networks do not "
                  "have; if you know what that is, name it in safe_globals (of the program: --safe-global)"));
}

TEST(TorchFiles, StatesLoadIntoModules) {
  const StateDict state = load(torch_fixture("net_state.pt"));
  nn::intrinsic::quantized::ConvReLU2d first(2, 3, 3, 1, 1);
  EXPECT_TRUE(first.load_state_dict(state, "features.0.").ok());
  EXPECT_EQ(first.scale, static_cast<double>(0.3F));
  EXPECT_EQ(first.zero_point, 5);
  EXPECT_TRUE(equal(first.weight(), *state.find("features.0.weight")));
}

// Every fixture survives being written and read again.
TEST_P(TorchFixtures, ComeBackFromTheWriter) {
  const json files = expected_files();
  for (const auto& [name, expected] : files.items()) {
    SCOPED_TRACE(name);
    const StateDict state = load_torch(folder() / name, kNet);
    const StateDict again = decode_torch(encode_torch(state));
    EXPECT_EQ(again.size(), state.size());
    for (const auto& [key, tensor] : state) {
      SCOPED_TRACE(key);
      const Tensor* other = again.find(key);
      ASSERT_NE(other, nullptr);
      ASSERT_EQ(other->defined(), tensor.defined());
      if (tensor.defined()) {
        EXPECT_TRUE(equal(*other, tensor));
      }
    }
  }
}

}  // namespace
}  // namespace qconv
