// The modules for quantization-aware training against PyTorch (tests/golden/qat.py). Every step starts from
// PyTorch's state and may differ by the order in which a convolution sums; flags and counters are equal. What
// conversion and folding make of PyTorch's final state is equal to the bit.
#include <map>

#include <qconv/nn/intrinsic_qat.hpp>

#include "nn/training_support.hpp"
#include "support/golden.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using nlohmann::json;
namespace nnqat = nn::qat;
namespace nniqat = nn::intrinsic::qat;

constexpr double kTolerance = 1e-5;

QConfig qconfig_named(const std::string& name) {
  if (name == "get_default_qat_qconfig(x86,1)") return get_default_qat_qconfig("x86", 1);
  if (name == "get_default_qat_qconfig(qnnpack,1)") return get_default_qat_qconfig("qnnpack", 1);
  return default_qat_qconfig();
}

// The integer entries by their names; all others are float32.
Tensor entry(const std::string& key, const json& record, const GoldenBlob& blob, const QConfig& qconfig) {
  if (key.ends_with("num_batches_tracked")) return blob.tensor<std::int64_t>(record);
  if (key.ends_with("zero_point")) return blob.tensor<std::int32_t>(record);
  if (!key.ends_with("_enabled")) return blob.tensor<float>(record);
  const bool fused = qconfig.weight()->name() == "FusedMovingAvgObsFakeQuantize";
  return fused ? blob.tensor<std::int64_t>(record) : blob.tensor<std::uint8_t>(record);
}

StateDict state_in(const json& entries, const GoldenBlob& blob, const QConfig& qconfig) {
  StateDict state;
  for (const auto& [key, record] : entries.items()) state.set(key, entry(key, record, blob, qconfig));
  return state;
}

void expect_near_state(const StateDict& found, const StateDict& expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [key, tensor] : expected) {
    const Tensor* mine = found.find(key);
    ASSERT_NE(mine, nullptr) << key;
    if (tensor.dtype() == float32) {
      EXPECT_TRUE(near(*mine, tensor, kTolerance)) << key;
    } else {
      EXPECT_TRUE(equal(*mine, tensor)) << key;
    }
  }
}

template <class Module>
void act(Module& module, const std::string& action) {
  if (action == "freeze_bn_stats") {
    if constexpr (requires { module.freeze_bn_stats(); }) module.freeze_bn_stats();
  } else {
    module.train(action == "train");
  }
}

// What from_float makes of a state that PyTorch saved.
template <class Quantized, class Module>
void expect_converted(const json& c, const GoldenBlob& blob, Module module) {
  ASSERT_TRUE(module.load_state_dict(state_in(c.at("state"), blob, *module.qconfig)).ok());
  const StateDict before = module.state_dict();
  const Quantized q = Quantized::from_float(module);
  for (const auto& [key, tensor] : module.state_dict())
    EXPECT_TRUE(equal(tensor, *before.find(key))) << key << " of the source changed";

  EXPECT_EQ(q.name(), c.at("class").get<std::string>());
  EXPECT_EQ(q.scale, c.at("y_scale").get<double>());
  EXPECT_EQ(q.zero_point, c.at("y_zero_point").get<std::int64_t>());
  const Tensor w = q.weight();
  EXPECT_EQ(w.qparams().scales, c.at("w_scales").get<std::vector<double>>());
  EXPECT_EQ(w.qparams().zero_points, c.at("w_zero_points").get<std::vector<std::int64_t>>());
  EXPECT_EQ(w.qparams().axis, c.at("w_axis").is_null() ? -1 : c.at("w_axis").get<int>());
  EXPECT_TRUE(equal(w.int_repr(), blob.tensor<std::int8_t>(c.at("q_weight"))));
  ASSERT_EQ(q.bias().has_value(), c.contains("q_bias"));
  if (q.bias()) {
    EXPECT_TRUE(equal(*q.bias(), blob.tensor<float>(c.at("q_bias"))));
  }
  const Tensor x = make_quantized(blob.tensor<std::uint8_t>(c.at("x")),
                                  QParams::per_tensor(c.at("x_scale"), c.at("x_zero_point")));
  EXPECT_TRUE(equal(q.forward(x).int_repr(), blob.tensor<std::uint8_t>(c.at("y"))));
}

template <class Module>
void expect_folded(const json& c, const json& state, const GoldenBlob& blob, Module module) {
  ASSERT_TRUE(module.load_state_dict(state_in(state, blob, *module.qconfig)).ok());
  const auto float_module = module.to_float();
  const nn::ConvNd& conv = [&]() -> const nn::ConvNd& {
    if constexpr (requires { float_module.conv; }) {
      return float_module.conv;
    } else {
      return float_module;
    }
  }();
  EXPECT_TRUE(equal(conv.weight, blob.tensor<float>(c.at("weight"))));
  EXPECT_TRUE(equal(*conv.bias, blob.tensor<float>(c.at("bias"))));
}

template <class Module, class Quantized>
void expect_module(const json& c, const GoldenBlob& blob) {
  const QConfig qconfig = qconfig_named(c.at("qconfig"));
  const nn::ConvOptions options{.in_channels = c.at("in_channels"),
                                .out_channels = c.at("out_channels"),
                                .kernel_size = c.at("kernel").get<std::vector<std::int64_t>>(),
                                .padding = 1,
                                .groups = c.at("groups"),
                                .bias = c.at("bias"),
                                .padding_mode = c.at("padding_mode").get<std::string>()};
  Module module(options, qconfig);
  module.activation_post_process = qconfig.activation();
  constexpr bool normalized = Module::kKind.batch_norm;
  if constexpr (normalized) module.enable_slow_path_for_better_numerical_stability = c.at("slow");

  json state = c.at("before");
  for (const json& step : c.at("steps")) {
    SCOPED_TRACE(step.at("action").get<std::string>());
    ASSERT_TRUE(module.load_state_dict(state_in(state, blob, qconfig)).ok());
    act(module, step.at("action"));
    EXPECT_TRUE(
        near(module.forward(blob.tensor<float>(step.at("x"))), blob.tensor<float>(step.at("y")), kTolerance));
    state = step.at("after");
    expect_near_state(module.state_dict(), state_in(state, blob, qconfig));
  }
  for (const json& converted : c.at("converted"))
    expect_converted<Quantized>(converted, blob, module.deep_copy());
  if constexpr (normalized) expect_folded(c.at("to_float"), state, blob, module.deep_copy());
}

template <int N>
struct Classes;
template <>
struct Classes<1> {
  using Conv = nnq::Conv1d;
  using ConvReLU = nniq::ConvReLU1d;
};
template <>
struct Classes<2> {
  using Conv = nnq::Conv2d;
  using ConvReLU = nniq::ConvReLU2d;
};
template <>
struct Classes<3> {
  using Conv = nnq::Conv3d;
  using ConvReLU = nniq::ConvReLU3d;
};

using Expect = void (*)(const json&, const GoldenBlob&);
template <class... Modules>
std::map<std::string, Expect> expectations() {
  const auto one = []<class Module>(Module*) -> Expect {
    using Of = Classes<Module::kKind.ndim>;
    if constexpr (has_relu(Module::kKind.post_op)) {
      return expect_module<Module, typename Of::ConvReLU>;
    } else {
      return expect_module<Module, typename Of::Conv>;
    }
  };
  const auto name = []<class Module>(Module*) {
    constexpr nn::ConvKind kind = Module::kKind;
    const bool plain = !kind.batch_norm && !has_relu(kind.post_op);
    return (plain ? "qat." : "intrinsic.qat.") + kind.name();
  };
  return {{name(static_cast<Modules*>(nullptr)), one(static_cast<Modules*>(nullptr))}...};
}

TEST(GoldenQat, EqualsPyTorch) {
  const auto known =
      expectations<nnqat::Conv1d, nnqat::Conv2d, nnqat::Conv3d, nniqat::ConvReLU1d, nniqat::ConvReLU2d,
                   nniqat::ConvReLU3d, nniqat::ConvBn1d, nniqat::ConvBn2d, nniqat::ConvBn3d,
                   nniqat::ConvBnReLU1d, nniqat::ConvBnReLU2d, nniqat::ConvBnReLU3d>();
  const GoldenBlob blob("qat");
  const json document = golden_json("qat");
  ASSERT_GE(document.at("cases").size(), 24U);
  for (const json& c : document.at("cases")) {
    const std::string name = c.at("class");
    SCOPED_TRACE(name + " " + c.at("qconfig").get<std::string>() + " " +
                 c.at("padding_mode").get<std::string>() + (c.value("slow", false) ? " slow" : ""));
    const auto expect = known.find(name);
    ASSERT_NE(expect, known.end());
    expect->second(c, blob);
  }
}

}  // namespace
}  // namespace qconv
