#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/io.hpp>
#include <qconv/quantize.hpp>

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

}  // namespace
}  // namespace qconv::testing
