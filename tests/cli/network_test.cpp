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
  const json answer = json::parse(profile.out);
  EXPECT_GE(answer["profile"].size(), 11U);
  EXPECT_GT(answer["load_seconds"].get<double>(), 0);
  EXPECT_GT(answer["first_seconds"].get<double>(), 0);
  EXPECT_LE(answer["min_seconds"].get<double>(), answer["seconds"].get<double>());
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

TEST(Network, EveryObserverKeepsTheAccuracy) {
  const ScratchFolder scratch;
  for (const std::string observer :
       {"histogram", "minmax", "moving-average", "percentile", "entropy", "mse"}) {
    const std::string out = scratch.file(observer + ".onnx");
    const ProgramResult made =
        run_program({"quantize", kDigits, "--calibrate", kCalibration, "--observer", observer, "-o", out});
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(made.err, "");
    const ProgramResult result = run_program({"eval", out, "--data", kTest, "--json", "--threads", "1"});
    EXPECT_GE(json::parse(result.out)[0]["top1_percent"], 99.0) << observer;
  }
  EXPECT_NE(read_text(scratch.file("percentile.onnx")), read_text(scratch.file("minmax.onnx")));
  const auto with_percentile = [&](const std::string& percentile) {
    const std::string out = scratch.file("p.onnx");
    EXPECT_EQ(run_program({"quantize", kDigits, "--calibrate", kCalibration, "--observer", "percentile",
                           "--percentile", percentile, "-o", out})
                  .code,
              0);
    return read_text(out);
  };
  EXPECT_EQ(with_percentile("100"), read_text(scratch.file("minmax.onnx")));
  EXPECT_EQ(with_percentile("99.99"), read_text(scratch.file("percentile.onnx")));
}

// What `qconv inspect` says of the layers of the digits network quantized with these rules.
json layers_with_rules(const std::string& rules) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out.onnx");
  const ProgramResult made =
      run_program({"quantize", kDigits, "--calibrate", kCalibration, "--observer", "minmax", "--config",
                   scratch.write("rules.json", rules), "-o", out});
  EXPECT_EQ(made.code, 0) << made.err;
  return json::parse(run_program({"inspect", out, "--json"}).out)["layers"];
}

TEST(Network, ConfigSaysWhatIsDifferentForSomeLayers) {
  const json plain = layers_with_rules(R"({"rules": []})");
  const json ruled = layers_with_rules(R"({"rules": [
      {"name": "/block?/*", "op": "Conv", "exclude": true},
      {"name": "/block1/first/*", "exclude": false},
      {"op": "Gemm", "observer": "percentile", "percentile": 90},
      {"name": "/stem/*", "observer": "percentile", "percentile": 50},
      {"name": "/stem/*", "observer": "minmax"}]})");
  const auto layer = [](const json& layers, const std::string& name) {
    for (const json& l : layers) {
      if (l["name"] == name) return l;
    }
    ADD_FAILURE() << name;
    return json();
  };
  EXPECT_FALSE(layer(ruled, "/block1/second/second.0/Conv")["quantized"]);
  EXPECT_TRUE(layer(ruled, "/block1/first/first.0/Conv")["quantized"]);
  EXPECT_LT(layer(ruled, "/classify/Gemm")["output"]["scale"],
            0.95 * layer(plain, "/classify/Gemm")["output"]["scale"].get<double>());
  EXPECT_EQ(layer(ruled, "/stem/stem.0/stem.0.0/Conv")["output"],
            layer(plain, "/stem/stem.0/stem.0.0/Conv")["output"]);
}

TEST(Network, ConfigMistakesNameFileAndRule) {
  const ScratchFolder scratch;
  const auto fails_with = [&](const std::string& text, const std::string& part) {
    const std::string file = scratch.write("rules.json", text);
    fails(
        {"quantize", kDigits, "--calibrate", kCalibration, "-o", scratch.file("out.onnx"), "--config", file},
        1, part);
  };
  const auto rule = [](const std::string& text) {
    return R"({"rules": [{"op": "Conv", "exclude": false}, )" + text + "]}";
  };
  fails_with("{\"rules\": [\n}", "rules.json: not JSON: parse error at line 2");
  fails_with("[]", "rules.json: expected {\"rules\": [...]}");
  fails_with(R"({"rules": [], "observer": "mse"})", "rules.json: expected {\"rules\": [...]}");
  fails_with(rule("7"), "rules.json: rule 2: expected an object");
  fails_with(rule(std::string(200000, '[') + std::string(200000, ']')), "rule 2: expected an object such as");
  fails_with(R"({"rules": [1e999]})", "rules.json: not JSON: number overflow");
  fails_with(rule(R"({"op": ["Conv"], "exclude": true})"), "rule 2: op must be a string, got a list");
  fails_with(rule(R"({"a\nb": 1})"), "rule 2: unknown key \"a\\nb\"");
  fails_with(rule(R"({"nam": "x"})"), "rules.json: rule 2: unknown key \"nam\", expected name, op, exclude");
  fails_with(rule(R"({"op": "Gemm"})"), "rules.json: rule 2: it changes nothing");
  fails_with(rule(R"({"op": 1, "exclude": true})"), "rule 2: op must be a string, got 1");
  fails_with(rule(R"({"exclude": "yes"})"), "rule 2: exclude must be true or false, got \"yes\"");
  fails_with(rule(R"({"observer": "best"})"), "rule 2: observer is \"best\", expected histogram, minmax");
  fails_with(rule(R"({"activations": "int4"})"), "rule 2: activations is \"int4\", expected quint8, qint8");
  fails_with(rule(R"({"observer": "percentile", "percentile": 0})"),
             "rule 2: percentile must be a number above 0");
  fails_with(rule(R"({"percentile": 99})"),
             "rule 2: percentile needs the observer percentile, not histogram");
  fails_with(rule(R"({"name": "/nobody/*", "exclude": true})"),
             "rules.json: rule 2: no layer fits name '/nobody/*' and operator '*'; the operators are ");
  fails_with(rule(R"({"op": "Gem", "exclude": true})"), "Conv, Flatten, Gemm, GlobalAveragePool, Input");
  fails_with(rule(R"({"op": "MaxPool", "observer": "mse"})"), "rules.json: rule 2: it sets an observer, but");
  fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", scratch.file("out.onnx"), "--config",
         "none.json"},
        1, "none.json: no such file");
}

TEST(Network, ImagesAreResizedCroppedAndTurned) {
  const ScratchFolder scratch;
  const std::string photo = repository_file("examples/photo/photo_x2.onnx");
  const std::string low = repository_file("examples/photo/test/low.png");
  const auto size_of = [&](const std::vector<std::string>& with) {
    std::vector<std::string> arguments{"run", photo, low, "-o", scratch.file("out.png")};
    arguments.insert(arguments.end(), with.begin(), with.end());
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return load_image(scratch.file("out.png")).sizes();
  };
  EXPECT_EQ(size_of({"--resize", "48", "--crop", "32x40"}), (Shape{1, 3, 64, 80}));
  EXPECT_EQ(size_of({"--resize", "20x30", "--channel-order", "bgr"}), (Shape{1, 3, 40, 60}));
  const std::string folder = repository_file("examples/photo/calibration");
  const ProgramResult made = run_program({"quantize", photo, "--calibrate", folder, "--resize", "40",
                                          "--crop", "32", "-o", scratch.file("photo.onnx")});
  EXPECT_EQ(made.code, 0) << made.err;
  fails({"quantize", photo, "--calibrate", folder, "-o", scratch.file("x.onnx"), "--crop", "9999"}, 1,
        "--crop 9999x9999 is larger than the image");
  for (const char* wrong : {"0", "-5", "12x", "x12", "3x4x5", "12.5", "99999999"}) {
    fails({"run", photo, low, "-o", scratch.file("x.png"), "--resize", wrong}, 2,
          "expected a size such as 224 or 224x192");
  }
  fails({"run", photo, low, "-o", scratch.file("x.png"), "--channel-order", "gbr"}, 2, "--channel-order");
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
  fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", out, "--percentile", "99"}, 2,
        "--percentile needs --observer percentile, not histogram");
  for (const char* wrong : {"0", "101", "-1", "nan"}) {
    fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", out, "--observer", "percentile",
           "--percentile", wrong},
          2, "--percentile");
  }
  fails({"quantize", kDigits, "--calibrate", kCalibration, "-o", out, "--observer", "best"}, 2, "--observer");
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
