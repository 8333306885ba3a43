// Trees of modules, and the steps that quantize them: what they replace, whom they name, what they leave
// alone.
#include <gmock/gmock.h>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>
#include <qconv/nn/intrinsic_qat.hpp>
#include <qconv/nn/quantization.hpp>
#include <qconv/nn/quantized_functional.hpp>

#include "nn/training_support.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A residual block around a fused sum.
class Block final : public nn::ModuleOf<Block> {
 public:
  Block() {
    register_module("quant", nn::QuantStub());
    register_module("body", nn::Sequential(nn::Conv2d(3, 4, 3, 1, 1), nn::BatchNorm2d(4), nn::ReLU()));
    register_module("side", nn::Conv2d(3, 4, 1));
    register_module("sum", nni::ConvAddReLU2d(nn::Conv2d(4, 4, 1)));
    register_module("dequant", nn::DeQuantStub());
  }
  std::string name() const override { return "Block"; }
  Tensor forward(const Tensor& input) const {
    const Tensor x = child("quant")(input);
    return child("dequant")(child("sum")(child("body")(x), child("side")(x)));
  }
};

Block eval_block() {
  Block block;
  block.eval();
  return block;
}

const std::vector<nn::ModuleNames> kFuse{{"body.0", "body.1", "body.2"}};

std::vector<std::string> classes(const nn::Module& tree) {
  std::vector<std::string> found;
  for (const auto& [path, module] : tree.named_modules()) found.push_back(path + " " + module->name());
  return found;
}

TEST(ModuleTree, ChildrenHaveNamesAndPaths) {
  const Block block;
  EXPECT_THAT(classes(block),
              ElementsAre("quant QuantStub", "body Sequential", "body.0 Conv2d", "body.1 BatchNorm2d",
                          "body.2 ReLU", "side Conv2d", "sum ConvAddReLU2d", "dequant DeQuantStub"));
  EXPECT_EQ(block.get_submodule("body.1")->name(), "BatchNorm2d");
  EXPECT_THAT(message_of<ValueError>([&] { (void)block.get_submodule("body.9"); }),
              StartsWith("Sequential: there is no child '9'; there are: 0, 1, 2"));
  EXPECT_THAT(message_of<ValueError>([&] { (void)block.get_submodule("side.x"); }),
              StartsWith("Conv2d: there is no child 'x'; there are: none"));
  EXPECT_THAT(message_of<TypeError>([&] { (void)block.child_as<nnq::Functional>("side"); }),
              StartsWith("Block: the child 'side' is a Conv2d"));
  nn::Sequential s;
  EXPECT_THROW(s.register_module("", nn::ReLU()), ValueError);
  EXPECT_THROW(s.register_module("a.b", nn::ReLU()), ValueError);
  EXPECT_THROW(s.register_module("a", std::shared_ptr<nn::Module>()), ValueError);
  s.register_module("a", nn::ReLU());
  EXPECT_THROW(s.register_module("a", nn::ReLU()), ValueError);
  EXPECT_THROW(s.set_submodule("a", nullptr), ValueError);
  EXPECT_THROW(s.set_submodule("b", std::make_shared<nn::ReLU>()), ValueError);
}

TEST(ModuleTree, PrintsAsPyTorch) {
  const nn::Sequential s{nn::ReLU(), nn::Sequential{nn::Identity(), nn::ReLU()}};
  EXPECT_EQ(s.to_string(),
            "Sequential(\n  (0): ReLU()\n  (1): Sequential(\n    (0): Identity()\n    (1): ReLU()\n  )\n)");
}

TEST(ModuleTree, StatesAreNestedAndCheckedAsAWhole) {
  const Block from;
  const StateDict state = from.state_dict("net.");
  EXPECT_NE(state.find("net.body.1.running_mean"), nullptr);
  EXPECT_NE(state.find("net.sum.0.weight"), nullptr);
  Block to;
  const Tensor x = random_floats({2, 3, 5, 5}, 1);
  EXPECT_TRUE(to.load_state_dict(state, "net.").ok());
  EXPECT_TRUE(equal(to.deep_copy().forward(x), from.deep_copy().forward(x)));

  StateDict broken = Block().state_dict();
  broken.erase("side.weight");
  broken.set("body.1.running_mean", Tensor::zeros({5}, float32));
  broken.set("body.7.weight", Tensor::zeros({5}, float32));
  EXPECT_THAT(
      message_of<ValueError>([&] { to.load_state_dict(broken); }),
      ::testing::AllOf(StartsWith("Block.load_state_dict"), HasSubstr("missing keys: side.weight"),
                       HasSubstr("unexpected keys: body.7.weight"), HasSubstr("body.1.running_mean: got")));
  EXPECT_TRUE(equal(to.deep_copy().forward(x), from.deep_copy().forward(x)))
      << "a failed load changed something";
  EXPECT_EQ(to.load_state_dict(broken, {}, false).missing_keys.size(), 1U);
}

TEST(ModuleTree, CopiesShareAndClonesDoNot) {
  const Block block;
  const Block copy(block);
  const auto clone = block.clone();
  EXPECT_EQ(copy.get_submodule("side"), block.get_submodule("side"));
  EXPECT_NE(clone->get_submodule("side"), block.get_submodule("side"));
  clone->eval();
  EXPECT_FALSE(clone->get_submodule("body.1")->training);
  EXPECT_TRUE(block.get_submodule("body.1")->training);
}

TEST(ModuleTree, CallChecksTheNumberOfInputs) {
  const Tensor x = random_floats({1, 3, 4, 4}, 1);
  EXPECT_THAT(message_of<ValueError>([&] { nn::ReLU()(x, x); }),
              StartsWith("ReLU: forward does not take 2 tensors"));
  const nn::Sequential adds(nni::ConvAdd2d(nn::Conv2d(3, 4, 1)));
  EXPECT_THAT(message_of<ValueError>([&] { adds(x); }),
              StartsWith("ConvAdd2d: forward does not take 1 tensor"));
}

TEST(FuseModules, ReplacesTheFirstAndLeavesIdentities) {
  const Block block = eval_block();
  const StateDict before = block.state_dict();
  const auto fused = nn::fuse_modules(block, kFuse);
  EXPECT_EQ(fused->get_submodule("body.0")->name(), "ConvReLU2d");
  EXPECT_EQ(fused->get_submodule("body.1")->name(), "Identity");
  EXPECT_EQ(fused->get_submodule("body.2")->name(), "Identity");
  for (const auto& [key, tensor] : block.state_dict()) EXPECT_TRUE(equal(tensor, *before.find(key))) << key;
  const Tensor x = random_floats({2, 3, 5, 5}, 1);
  EXPECT_TRUE(near(fused->forward(x), block.forward(x), 1e-5));
  const auto trained = nn::fuse_modules_qat(block, kFuse);
  EXPECT_EQ(trained->get_submodule("body.0")->name(), "ConvBnReLU2d");
  EXPECT_TRUE(equal(trained->forward(x), block.forward(x)));
}

TEST(FuseModules, RefusesByName) {
  EXPECT_THAT(
      message_of<ValueError>([] {
        nn::fuse_modules(eval_block(), {{"side", "sum"}});
      }),
      StartsWith("fuse_modules: (side, sum) are of classes (Conv2d, ConvAddReLU2d), which cannot be fused"));
  EXPECT_THAT(message_of<ValueError>([] { nn::fuse_modules(Block(), kFuse); }), HasSubstr("eval"));
  Block mixed;
  mixed.get_submodule("body.2")->eval();
  EXPECT_THAT(message_of<ValueError>([&] { nn::fuse_modules_qat(mixed, kFuse); }),
              HasSubstr("must all be in the same mode"));
  nn::Sequential up(nn::ConvTranspose2d(3, 4, 2), nn::BatchNorm2d(4));
  EXPECT_THAT(message_of<ValueError>([&] {
                nn::fuse_modules_qat(up, {{"0", "1"}});
              }),
              HasSubstr("cannot be fused for training"));
  nn::Sequential plain(nn::Conv2d(3, 4, 2), nn::BatchNorm2d(4, 1e-5, 0.1, false));
  EXPECT_THAT(message_of<ValueError>([&] {
                nn::fuse_modules_qat(plain, {{"0", "1"}});
              }),
              HasSubstr("must have affine parameters"));
}

TEST(Quantization, EndToEndWithAFusedSum) {
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const auto fused = nn::fuse_modules(eval_block(), kFuse);
  fused->qconfig = get_default_qconfig("onednn");
  const auto prepared = nn::prepare(*fused);
  const Tensor expected = prepared->forward(x);
  const auto quantized = nn::convert(*prepared);
  EXPECT_THAT(classes(*quantized),
              ElementsAre("quant Quantize", "body Sequential", "body.0 QuantizedConvReLU2d",
                          "body.1 Identity", "body.2 Identity", "side QuantizedConv2d",
                          "sum QuantizedConvAddReLU2d", "dequant DeQuantize"));
  EXPECT_TRUE(near(quantized->forward(x), expected, 0.05));
  EXPECT_FALSE(quantized->qconfig);
  EXPECT_FALSE(quantized->get_submodule("side")->qconfig);
  EXPECT_TRUE(prepared->get_submodule("side")->activation_post_process->calibrated());
  // The saved state of the whole goes into another of the same classes.
  const auto other = nn::convert(*prepared);
  EXPECT_TRUE(other->load_state_dict(quantized->state_dict()).ok());
  EXPECT_TRUE(equal(other->forward(x), quantized->forward(x)));
}

TEST(Quantization, TheWholeOfTrainingsSteps) {
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const auto fused = nn::fuse_modules_qat(Block(), kFuse);
  fused->qconfig = get_default_qat_qconfig();
  const auto prepared = nn::prepare_qat(*fused);
  EXPECT_NE(dynamic_cast<nn::intrinsic::qat::ConvBnReLU2d*>(prepared->get_submodule("body.0").get()),
            nullptr);
  EXPECT_NE(dynamic_cast<nn::qat::Conv2d*>(prepared->get_submodule("side").get()), nullptr);
  prepared->forward(x);
  nn::intrinsic::qat::freeze_bn_stats(*prepared);
  EXPECT_TRUE(dynamic_cast<nn::intrinsic::qat::ConvBnReLU2d&>(*prepared->get_submodule("body.0")).freeze_bn);
  prepared->eval();
  const Tensor expected = prepared->forward(x);
  EXPECT_TRUE(near(nn::convert(*prepared)->forward(x), expected, 0.1));
  EXPECT_THAT(message_of<ValueError>([] { nn::prepare_qat(eval_block()); }),
              StartsWith("prepare_qat: the Block must be in training mode"));
}

TEST(Quantization, SwitchesReachWeightsAndActivations) {
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const auto fused = nn::fuse_modules_qat(Block(), kFuse);
  fused->qconfig = get_default_qat_qconfig();
  const auto prepared = nn::prepare_qat(*fused);
  prepared->forward(x);
  nn::intrinsic::qat::freeze_bn_stats(*prepared);
  nn::disable_observer(*prepared);
  const StateDict before = prepared->state_dict();
  const Tensor y = prepared->forward(functional::add(x, x));
  for (const auto& [key, tensor] : prepared->state_dict())
    EXPECT_TRUE(equal(tensor, *before.find(key))) << key;
  nn::disable_fake_quant(*prepared);
  EXPECT_FALSE(equal(prepared->forward(functional::add(x, x)), y));
  nn::enable_fake_quant(*prepared);
  EXPECT_TRUE(equal(prepared->forward(functional::add(x, x)), y));
}

TEST(Quantization, QuantizeDoesAllSteps) {
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const auto fused = nn::fuse_modules(eval_block(), kFuse);
  fused->qconfig = default_qconfig();
  const auto quantized = nn::quantize(*fused, [&](Block& block) { block.forward(x); });
  EXPECT_EQ(quantized->get_submodule("side")->name(), "QuantizedConv2d");
}

TEST(Quantization, AWrapperBringsTheStubs) {
  nn::Conv2d conv(3, 4, 3);
  conv.eval();
  conv.qconfig = default_qconfig();
  const nn::QuantWrapper wrapped(conv);
  EXPECT_FALSE(wrapped.training);
  const Tensor x = random_floats({2, 3, 6, 6}, 1);
  const auto quantized = nn::quantize(wrapped, [&](nn::QuantWrapper& prepared) { prepared.forward(x); });
  EXPECT_THAT(classes(*quantized),
              ElementsAre("quant Quantize", "dequant DeQuantize", "module QuantizedConv2d"));
  EXPECT_TRUE(near(quantized->forward(x), conv.forward(x), 0.05));
  EXPECT_THROW(nn::QuantWrapper(std::shared_ptr<nn::Module>()), ValueError);
}

TEST(Quantization, NamesTheModuleThatSawNothing) {
  const auto fused = nn::fuse_modules(eval_block(), kFuse);
  fused->qconfig = default_qconfig();
  EXPECT_THAT(message_of<ValueError>([&] { nn::convert(*nn::prepare(*fused)); }),
              StartsWith("quant: the activation observer (MinMaxObserver) has seen no data"));
  fused->get_submodule("quant")->qconfig = QConfig();
  EXPECT_THAT(message_of<ValueError>([&] { nn::convert(*nn::prepare(*fused)); }),
              StartsWith("body.0: the activation observer"));
}

TEST(Quantization, RefusesANormalizationThatIsNotFused) {
  Block block = eval_block();
  block.qconfig = default_qconfig();
  const auto prepared = nn::prepare(block);
  prepared->forward(random_floats({2, 3, 6, 6}, 1));
  EXPECT_THAT(message_of<ValueError>([&] { nn::convert(*prepared); }),
              StartsWith("body.1: this BatchNorm2d is not fused"));
}

TEST(Quantization, QConfigsComeFromNamesThenClassesThenAbove) {
  Block block;
  block.get_submodule("sum")->qconfig = default_per_channel_qconfig();
  const auto weight_class = [&](const char* path) {
    const auto& config = block.get_submodule(path)->qconfig;
    return config && config->weight ? std::string(config->weight()->name()) : "none";
  };
  nn::propagate_qconfig(
      block, {.by_name = {{"", default_qconfig()}, {"body", QConfig()}, {"body.1", default_qconfig()}},
              .by_type = {{"Conv2d", default_per_channel_qconfig()}}});
  EXPECT_EQ(weight_class("quant"), "MinMaxObserver");
  EXPECT_EQ(weight_class("body"), "none");
  EXPECT_EQ(weight_class("body.0"), "PerChannelMinMaxObserver");
  EXPECT_EQ(weight_class("body.1"), "MinMaxObserver");
  EXPECT_EQ(weight_class("body.2"), "none");
  EXPECT_EQ(weight_class("side"), "PerChannelMinMaxObserver");
  EXPECT_EQ(weight_class("sum"), "PerChannelMinMaxObserver");
}

TEST(Quantization, AnEmptyQConfigKeepsAPartInFloat) {
  nn::Sequential net(nn::Conv2d(3, 4, 1), nn::QuantStub(), nn::Conv2d(4, 4, 1), nn::DeQuantStub());
  net.eval();
  net.qconfig = default_qconfig();
  net.get_submodule("0")->qconfig = QConfig();
  const Tensor x = random_floats({1, 3, 4, 4}, 1);
  const auto quantized = nn::quantize(net, [&](nn::Sequential& prepared) { prepared.forward(x); });
  EXPECT_THAT(classes(*quantized),
              ElementsAre("0 Conv2d", "1 Quantize", "2 QuantizedConv2d", "3 DeQuantize"));
  EXPECT_TRUE(near(quantized->forward(x), net.forward(x), 0.05));
}

TEST(Quantization, MappingsCanBeChanged) {
  nn::Sequential net(nn::QuantStub(), nn::Conv2d(3, 4, 1), nn::DeQuantStub());
  net.qconfig = default_qconfig();
  const auto prepared = nn::prepare(net);
  prepared->forward(random_floats({1, 3, 4, 4}, 1));
  nn::ModuleMapping mapping = nn::get_default_static_quant_module_mappings();
  mapping.remove<nn::Conv2d>().add<nn::DeQuantStub>(
      [](const nn::Module&, std::string_view) { return std::make_shared<nn::Identity>(); });
  EXPECT_THAT(classes(*nn::convert(*prepared, mapping)), ElementsAre("0 Quantize", "1 Conv2d", "2 Identity"));
}

TEST(Quantization, ReferenceModulesKeepTheWeightsParameters) {
  nn::Sequential net(nn::Conv2d(3, 4, 1), nn::ConvTranspose2d(4, 6, 2, 1, 0, 0, 2));
  net.qconfig = default_per_channel_qconfig();
  const auto prepared = nn::prepare(net);
  const auto reference = nn::convert(*prepared, nn::get_default_static_quant_reference_module_mappings());
  EXPECT_THAT(classes(*reference),
              ElementsAre("0 QuantizedConv2d(Reference)", "1 QuantizedConvTranspose2d(Reference)"));
  const auto& up = dynamic_cast<nnq::reference::ConvTranspose2d&>(*reference->get_submodule("1"));
  EXPECT_EQ(up.weight_qparams().qparams.axis, 1);
  EXPECT_EQ(up.weight_qparams().qparams.scales.size(), 3U);
  const Tensor x = random_floats({1, 3, 4, 4}, 1);
  EXPECT_TRUE(near(reference->forward(x), net.forward(x), 0.02));
  // And on to a quantized module, the same as directly.
  nn::ConvTranspose2d direct = dynamic_cast<nn::ConvTranspose2d&>(*prepared->get_submodule("1"));
  direct.activation_post_process.reset();
  const auto q = nnq::ConvTranspose2d::from_float(direct);
  EXPECT_TRUE(equal(nnq::ConvTranspose2d::from_reference(up, 0.1, 3).weight(), q.weight()));
}

TEST(Quantization, DynamicReplacesWhatTheDictionaryNames) {
  nn::Sequential net(nn::Conv2d(3, 4, 1), nn::ReLU(), nn::Conv2d(4, 4, 1));
  const auto dynamic =
      nn::quantize_dynamic(net, {.by_name = {{"2", default_dynamic_qconfig()}}, .by_type = {}});
  EXPECT_THAT(classes(*dynamic), ElementsAre("0 Conv2d", "1 ReLU", "2 DynamicQuantizedConv2d"));
  EXPECT_EQ(dynamic->forward(random_floats({1, 3, 4, 4}, 1)).dtype(), float32);
}

TEST(QuantizedModules, FunctionalsFollowTheirOperators) {
  const Tensor a = random_floats({1, 2, 3, 3}, 1);
  const Tensor b = random_floats({1, 2, 3, 3}, 2);
  nnq::FloatFunctional f;
  EXPECT_TRUE(equal(f.add(a, b), functional::add(a, b)));
  EXPECT_TRUE(equal(f(a, b), f.add(a, b)));
  EXPECT_THAT(message_of<ValueError>([&] { nnq::QFunctional::from_float(f, "skip"); }),
              StartsWith("skip: the FloatFunctional must have an activation_post_process"));
  f.activation_post_process = default_observer()();
  f.add_relu(a, b);
  const auto q = nnq::QFunctional::from_float(f);
  const Tensor qa = quantize_per_tensor(a, 0.01, 128, quint8);
  const Tensor qb = quantize_per_tensor(b, 0.02, 100, quint8);
  EXPECT_TRUE(equal(q.add(qa, qb), ops::add(qa, qb, q.scale, q.zero_point)));
  EXPECT_TRUE(equal(q.add_relu(qa, qb), ops::add_relu(qa, qb, q.scale, q.zero_point)));
  const Tensor both[] = {qa, qb};
  EXPECT_TRUE(equal(q.cat(both, 1), ops::cat(both, 1, q.scale, q.zero_point)));
  nnq::QFunctional loaded;
  EXPECT_TRUE(loaded.load_state_dict(q.state_dict()).ok());
  EXPECT_EQ(loaded.extra_repr(), q.extra_repr());
  EXPECT_TRUE(equal(nn::ReLU()(qa), ops::relu(qa)));
}

TEST(QuantizedModules, QuantizeAndDeQuantize) {
  const nnq::Quantize quantize(0.1, 3, quint8);
  const Tensor x = random_floats({2, 5}, 1);
  EXPECT_TRUE(equal(quantize(x), quantize_per_tensor(x, static_cast<float>(0.1), 3, quint8)));
  EXPECT_TRUE(equal(nnq::DeQuantize()(quantize(x)), quantize(x).dequantize()));
  nnq::Quantize other(1, 0, quint8);
  EXPECT_TRUE(other.load_state_dict(quantize.state_dict()).ok());
  EXPECT_EQ(other.scale, quantize.scale);
  EXPECT_EQ(other.zero_point, 3);
  EXPECT_THROW(nnq::Quantize(0, 0, quint8), ValueError);
  EXPECT_THROW(nnq::Quantize(1, 256, quint8), ValueError);
  EXPECT_THROW(nnq::Quantize(1, 0, float32), TypeError);
}

}  // namespace
}  // namespace qconv
