#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/io.hpp>
#include <qconv/quantize.hpp>
#include <qconv/torch_file.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

using ::testing::HasSubstr;

StateDict small_state() {
  StateDict state;
  const Tensor values = Tensor::from_data(std::vector<float>{-1, 0, 0.5F, 2}, {2, 2});
  const std::vector<double> scales{0.5, 0.25};
  const std::vector<std::int64_t> zero_points{0, 0};
  state.set("weight", quantize_per_channel(values, scales, zero_points, 0, qint8));
  state.set("bias", Tensor());
  state.set("plain", values);
  return state;
}

TEST(Convert, GoesBetweenFormatsAndBack) {
  const ScratchFolder scratch;
  save_safetensors(small_state(), scratch.file("state.safetensors"));
  const ProgramResult refused =
      run_program({"convert", scratch.file("state.safetensors"), scratch.file("state.npz")});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  ASSERT_EQ(
      run_program({"convert", scratch.file("state.safetensors"), scratch.file("state.npz"), "--dequantize"})
          .code,
      0);
  ASSERT_EQ(run_program({"convert", scratch.file("state.npz"), scratch.file("again.safetensors")}).code, 0);
  const StateDict again = load_safetensors(scratch.file("again.safetensors"));
  ASSERT_EQ(again.size(), 2U);
  EXPECT_TRUE(equal(*again.find("plain"), *small_state().find("plain")));
  EXPECT_TRUE(equal(*again.find("weight"), small_state().find("weight")->dequantize()));
  EXPECT_EQ(run_program({"convert", scratch.file("state.npz"), scratch.file("state.npy")}).code, 1);
  EXPECT_EQ(run_program({"convert", scratch.file("state.npz"), scratch.file("state.xyz")}).code, 2);
  const ProgramResult network =
      run_program({"convert", repository_file("examples/digits/digits.onnx"), scratch.file("net.npz")});
  EXPECT_EQ(network.code, 1);
  EXPECT_THAT(network.err,
              HasSubstr("digits.onnx: cannot read tensors from it; expected a name that ends in .safe"));
}

std::string torch_fixture(const std::string& name) { return repository_file("tests/io/torch/" + name); }

TEST(Convert, TakesPyTorchsFilesThereAndBack) {
  const ScratchFolder scratch;
  const std::string original = torch_fixture("net_state.pt");
  const std::string tensors = scratch.file("net.safetensors");
  const std::string back = scratch.file("net.pth");
  const ProgramResult result = run_program({"convert", original, tensors});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(load_safetensors_metadata(tensors), (Metadata{{"fc._packed_params.dtype", "torch.qint8"}}));
  ASSERT_EQ(run_program({"convert", tensors, back}).code, 0);
  const StateDict before = load_torch(original);
  const StateDict after = load_torch(back);
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [name, tensor] : before) {
    SCOPED_TRACE(name);
    ASSERT_NE(after.find(name), nullptr);
    EXPECT_TRUE(equal(*after.find(name), tensor));
  }
}

TEST(Convert, TakesModulesOfKnownClasses) {
  const ScratchFolder scratch;
  const ProgramResult refused = run_program({"convert", torch_fixture("net.pt"), scratch.file("net.npz")});
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("names '__main__.Net'"));
  const ProgramResult taken = run_program({"convert", torch_fixture("net.pt"), scratch.file("net.npz"),
                                           "--dequantize", "--safe-global", "__main__.Net"});
  ASSERT_EQ(taken.code, 0) << taken.err;
  EXPECT_EQ(load(scratch.file("net.npz")).find("features.0.weight")->sizes(), (Shape{3, 2, 3, 3}));
}

TEST(Inspect, ShowsWhatPyTorchSaved) {
  const ProgramResult text = run_program({"inspect", torch_fixture("script.pt")});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("PyTorch file of a TorchScript module (torch.jit.save)"));
  EXPECT_THAT(text.out, HasSubstr("3 scales 0.0625 to 0.1875, zero points -1 to 1, axis 0"));
  EXPECT_THAT(text.out, HasSubstr("features.0   QuantizedConvReLU2d"));

  const ProgramResult result = run_program({"inspect", torch_fixture("classes.pt"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["kind"], "module");
  EXPECT_EQ(json["tensors"].size(), 72U);
  ASSERT_EQ(json["convolutions"].size(), 18U);
  const auto& conv = json["convolutions"][1];
  EXPECT_EQ(conv["name"], "conv2d");
  EXPECT_EQ(conv["class"], "torch.ao.nn.quantized.modules.conv.Conv2d");
  EXPECT_EQ(conv["kernel_size"], (std::vector<int>{3, 1}));
  EXPECT_EQ(conv["dilation"], (std::vector<int>{2, 2}));
  EXPECT_EQ(conv["groups"], 2);
  EXPECT_EQ(conv["bias"], false);
  EXPECT_EQ(conv["scale"], 0.3);
  EXPECT_EQ(conv["zero_point"], 5);

  const ProgramResult packed = run_program({"inspect", torch_fixture("packed_v2.pt")});
  EXPECT_THAT(packed.out, HasSubstr("conv_transpose2d"));
  EXPECT_EQ(nlohmann::json::parse(run_program({"inspect", torch_fixture("checkpoint.pth"), "--json"}).out)
                .at("metadata")
                .at("arch"),
            "tiny");
}

}  // namespace
}  // namespace qconv::testing
