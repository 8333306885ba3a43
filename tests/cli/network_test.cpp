#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/io.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kDigits = repository_file("examples/digits/digits.onnx");
const std::string kCalibration = repository_file("examples/digits/calibration.npz");
const std::string kTest = repository_file("examples/digits/test.npz");

// The digits network in int8, made once.
const std::string& int8_digits() {
  static const ScratchFolder scratch;
  static const std::string file = [] {
    const std::string path = scratch.file("digits.int8.onnx");
    const ProgramResult result =
        run_program({"quantize", kDigits, "--calibrate", kCalibration, "--threads", "1", "-o", path});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("11 of 11 layers in int8, calibrated on 160 samples"));
    return path;
  }();
  return file;
}

void fails(const std::vector<std::string>& arguments, int code, const std::string& part) {
  const ProgramResult result = run_program(arguments);
  SCOPED_TRACE(::testing::PrintToString(arguments));
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr(part));
}

TEST(Network, QuantizedDigitsAreAsGoodAsFloat) {
  const ProgramResult result =
      run_program({"eval", kDigits, int8_digits(), "--data", kTest, "--json", "--threads", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  const json rows = json::parse(result.out);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_FALSE(rows[0]["quantized"].get<bool>());
  EXPECT_TRUE(rows[1]["quantized"].get<bool>());
  EXPECT_EQ(rows[1]["samples"], 600);
  EXPECT_GE(rows[0]["top1_percent"], 98.0);
  EXPECT_GE(rows[1]["top1_percent"], rows[0]["top1_percent"].get<double>() - 0.5);
  EXPECT_GE(rows[1]["top5_percent"], rows[1]["top1_percent"]);
  EXPECT_LT(rows[1]["bytes"].get<int>() * 3, rows[0]["bytes"].get<int>());
}

TEST(Network, InspectShowsLayersAndScales) {
  const ProgramResult text = run_program({"inspect", int8_digits(), "--input-size", "1x1x8x8"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("quantized network"));
  EXPECT_THAT(text.out, HasSubstr("/classify/Gemm"));
  const ProgramResult result = run_program({"inspect", int8_digits(), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const json network = json::parse(result.out);
  EXPECT_TRUE(network["quantized"].get<bool>());
  EXPECT_EQ(network["inputs"][0]["name"], "input");
  for (const json& layer : network["layers"]) {
    if (layer["op"] == "Conv") {
      EXPECT_EQ(layer["weight_dtype"], "qint8");
      EXPECT_GT(layer["output"]["scale"], 0.0);
    }
  }
}

TEST(Network, CompareListsTheWorstLayerFirst) {
  const ProgramResult result =
      run_program({"compare", kDigits, int8_digits(), "--data", kTest, "--samples", "20", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const json comparison = json::parse(result.out);
  EXPECT_EQ(comparison["samples"], 20);
  const json& layers = comparison["layers"];
  ASSERT_GE(layers.size(), 8U);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_GT(layers[i]["sqnr_db"], 20.0) << layers[i];
    EXPECT_GT(layers[i]["cosine"], 0.99) << layers[i];
    if (i > 0) {
      EXPECT_GE(layers[i]["sqnr_db"], layers[i - 1]["sqnr_db"]);
    }
  }
}

TEST(Network, CompareQuantizesOnTheSpot) {
  const auto compare = [](const std::vector<std::string>& with) {
    std::vector<std::string> arguments{"compare", kDigits, "--data", kTest, "--samples", "5", "--json"};
    arguments.insert(arguments.end(), with.begin(), with.end());
    return run_program(arguments);
  };
  const ProgramResult here = compare({"--calibrate", kCalibration});
  EXPECT_EQ(here.code, 0) << here.err;
  EXPECT_EQ(here.out, compare({int8_digits()}).out);
  EXPECT_EQ(compare({}).code, 2);
}

TEST(Network, AClosedOutputIsAFailureButTheFileIsWhole) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out.onnx");
  EXPECT_EQ(run_program({"quantize", kDigits, "--calibrate", kCalibration, "-o", out}, Stdout::closed).code,
            1);
  EXPECT_EQ(read_text(out), read_text(int8_digits()));
}

TEST(Network, RunWritesWhatTheNetworkGives) {
  const ScratchFolder scratch;
  const ProgramResult npy =
      run_program({"run", int8_digits(), kTest, "-o", scratch.file("scores.npy"), "--threads", "2"});
  ASSERT_EQ(npy.code, 0) << npy.err;
  EXPECT_EQ(load_npy(scratch.file("scores.npy")).sizes(), (Shape{600, 10}));
  ASSERT_EQ(
      run_program({"run", int8_digits(), kTest, "-o", scratch.file("scores.npz"), "--engine", "reference"})
          .code,
      0);
  const NamedTensors arrays = load_npz(scratch.file("scores.npz"));
  ASSERT_EQ(arrays.size(), 1U);
  EXPECT_EQ(arrays[0].first, "output");
  EXPECT_TRUE(equal(arrays[0].second, load_npy(scratch.file("scores.npy"))));
  const ProgramResult profile =
      run_program({"run", int8_digits(), kTest, "--profile", "--repeat", "2", "--json"});
  ASSERT_EQ(profile.code, 0) << profile.err;
  EXPECT_GE(json::parse(profile.out)["profile"].size(), 11U);
}

TEST(Network, RunTurnsImagesIntoImages) {
  const ScratchFolder scratch;
  const std::string photo = repository_file("examples/photo/photo_x2.onnx");
  const std::string low = repository_file("examples/photo/test/low.png");
  const std::string high = repository_file("examples/photo/test/high.png");
  ASSERT_EQ(run_program({"run", photo, low, "-o", scratch.file("high.png")}).code, 0);
  EXPECT_EQ(load_image(scratch.file("high.png")).sizes(), load_image(high).sizes());
  const ProgramResult scored =
      run_program({"eval", photo, "--input", low, "--target", high, "--repeat", "1", "--json"});
  ASSERT_EQ(scored.code, 0) << scored.err;
  EXPECT_NEAR(json::parse(scored.out)[0]["psnr_db"].get<double>(), 33.05, 0.02);
}

TEST(Network, BenchTimesEveryLayer) {
  const ProgramResult result = run_program({"bench", int8_digits(), "--threads", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("native,"));
  EXPECT_THAT(lines_of(result.out).back(), HasSubstr("digits.int8.onnx:total,"));
}

TEST(Network, QuantizeTakesItsOptions) {
  const ScratchFolder scratch;
  const ProgramResult result =
      run_program({"quantize", kDigits, "--calibrate", kCalibration, "-o", scratch.file("out.onnx"),
                   "--samples", "10", "--observer", "minmax", "--activations", "qint8", "--per-tensor",
                   "--exclude", "/classify/Gemm", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const json summary = json::parse(result.out);
  EXPECT_EQ(summary["samples"], 10);
  ASSERT_EQ(summary["float_layers"].size(), 1U);
  EXPECT_THAT(summary["float_layers"][0].get<std::string>(), HasSubstr("/classify/Gemm"));
}

TEST(Network, MistakesAreOneLine) {
  const ScratchFolder scratch;
  const std::string broken = scratch.write("broken.onnx", read_text(kDigits).substr(0, 1000));
  const std::string text = scratch.write("text.npz", "not a zip archive");
  const std::string out = scratch.file("out.onnx");
  fails({"inspect", broken}, 1, "broken.onnx");
  fails({"inspect", scratch.file("missing.onnx")}, 1, "no such file");
  fails({"inspect", kDigits, "--input-size", "1xx8"}, 2, "--input-size 1xx8: expected sizes such as");
  fails({"inspect", scratch.write("data.bin", "x")}, 1, "expected a name that ends in .onnx");
  fails({"quantize", kDigits, "--calibrate", text, "-o", out}, 1, "text.npz");
  fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", "out.txt"}, 2,
        "expected a name that ends in .onnx");
  fails({"quantize", kDigits, "-o", out}, 2, "--calibrate");
  fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", out, "--exclude", "nothing"}, 1,
        "'nothing'");
  fails({"quantize", kDigits, "--calibrate", repository_file("src"), "-o", out}, 1,
        "no images in this folder");
  fails({"quantize", kDigits, "--calibrate", repository_file("examples/photo/test/low.png"), "-o", out}, 1,
        "an image of 3 channels, but the network takes 1");
  fails({"run", kDigits, kTest, "-o", "out.gif"}, 2, ".npy, .npz or .png");
  fails({"run", kDigits, kTest, "--array", "labels"}, 1, "got (600,)");
  fails({"eval", kDigits, "--data", kCalibration}, 1, "no array called 'labels'");
  fails({"eval", kDigits}, 2, "--data");
  fails({"compare", kDigits, kDigits, "--data", kTest, "--mean", "1,2"}, 1, "--mean");
  fails({"quantize", int8_digits(), "--calibrate", kCalibration, "-o", out}, 1,
        "computes with integers already");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Network, ErrorsNameTheNetworkThatTheyAreAbout) {
  const std::string photo = repository_file("examples/photo/photo_x2.onnx");
  const std::string low = repository_file("examples/photo/test/low.png");
  fails({"inspect", kDigits, "--input-size", "1x3x8x8"}, 1, "digits.onnx: input 'input' must have sizes");
  fails({"run", photo, kTest}, 1, "photo_x2.onnx: input 'input' must have sizes");
  fails({"eval", kDigits, photo, "--data", kTest}, 1, "photo_x2.onnx: input 'input' must have sizes");
  fails({"compare", kDigits, photo, "--data", kTest}, 1, "photo_x2.onnx: input 'input' must have sizes");
  const ScratchFolder scratch;
  fails({"run", kDigits, kTest, "-o", scratch.file("scores.png")}, 1, "scores.png: save_png: expected sizes");
}

TEST(Network, NumbersOutOfRangeAreMistakes) {
  const std::vector<std::string> quantize{"quantize", kDigits, "--calibrate", kCalibration, "-o", "out.onnx"};
  const auto with = [&](const std::string& option, const std::string& value) {
    std::vector<std::string> arguments = quantize;
    arguments.insert(arguments.end(), {option, value});
    return arguments;
  };
  fails(with("--samples", "-3"), 2, "--samples: expected a whole number, 0 (all) or more, got -3");
  fails(with("--samples", "1.5"), 2, "--samples: expected a whole number, 0 (all) or more, got 1.5");
  fails(with("--scale", "0"), 2, "--scale: expected a number above 0, got 0");
  fails(with("--std", "0.5,-1"), 2, "--std: expected a number above 0, got -1");
  fails({"eval", kDigits, "--data", kTest, "--samples", "-1"}, 2, "--samples: expected");
  fails({"compare", kDigits, kDigits, "--data", kTest, "--samples", "-1"}, 2, "--samples: expected");
}

TEST(Network, AFolderThatIsNotThereIsFoundBeforeTheWork) {
  const ScratchFolder scratch;
  const std::string nowhere = scratch.file("nowhere/out.onnx");
  // The data is missing too, but the folder is looked for first.
  fails({"quantize", kDigits, "--calibrate", scratch.file("missing.npz"), "-o", nowhere}, 1,
        "nowhere/out.onnx: cannot write: there is no folder");
  fails({"run", kDigits, scratch.file("missing.npz"), "-o", scratch.file("nowhere/out.npy")}, 1,
        "nowhere/out.npy: cannot write: there is no folder");
}

}  // namespace
}  // namespace qconv::testing
