// qconv quantize: repair, sensitivity and limits.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kNetwork = repository_file("examples/digits/digits.onnx");
const std::string kData = repository_file("examples/digits/calibration.npz");
const std::string kJudged = repository_file("examples/digits/test.npz");

std::vector<std::string> quantize_with(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"quantize", kNetwork, "--calibrate", kData, "--samples", "12"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(QuantizeSearch, RepairsOnTheWay) {
  const ScratchFolder scratch;
  const ProgramResult result = run_program(quantize_with(
      {"--equalize", "--correct-bias", "--rounding", "adaptive", "-o", scratch.file("out.onnx"), "--json"}));
  ASSERT_EQ(result.code, 0) << result.err;
  const json summary = json::parse(result.out);
  EXPECT_EQ(summary["quantized_layers"], summary["layers"]);
  EXPECT_TRUE(summary["notes"].is_array());
  EXPECT_FALSE(summary.contains("search"));
  const ProgramResult judged =
      run_program({"eval", scratch.file("out.onnx"), "--data", kJudged, "--samples", "200", "--json"});
  ASSERT_EQ(judged.code, 0) << judged.err;
  EXPECT_GE(json::parse(judged.out)[0]["top1_percent"], 97.0);
}

TEST(QuantizeSearch, SensitivityIsATableOrJson) {
  const ProgramResult text = run_program(quantize_with({"--sensitivity"}));
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("up to here: SQNR dB"));
  EXPECT_THAT(text.out, HasSubstr("over 12 samples, worst first"));
  const ProgramResult result = run_program(quantize_with(
      {"--sensitivity", "--json", "--eval", kJudged, "--labels", "labels", "--eval-samples", "50"}));
  ASSERT_EQ(result.code, 0) << result.err;
  const json found = json::parse(result.out);
  EXPECT_EQ(found["samples"], 50);
  ASSERT_GE(found["layers"].size(), 8U);
  double before = -1000;
  for (const json& layer : found["layers"]) {
    EXPECT_GE(layer["alone"]["sqnr_db"], before);
    before = layer["alone"]["sqnr_db"];
    EXPECT_GE(layer["alone"]["top1_percent"], 90.0);
  }
}

TEST(QuantizeSearch, KeepsLayersForALimit) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out.onnx");
  const ProgramResult loose = run_program(quantize_with({"--max-drop", "50", "-o", out}));
  ASSERT_EQ(loose.code, 0) << loose.err;
  EXPECT_THAT(loose.out, HasSubstr("no layer had to be kept"));
  EXPECT_THAT(loose.out, HasSubstr("1 evaluations"));
  const ProgramResult labelled =
      run_program(quantize_with({"--max-drop", "5", "--eval", kJudged, "--labels", "labels", "--eval-samples",
                                 "100", "-o", out, "--json"}));
  ASSERT_EQ(labelled.code, 0) << labelled.err;
  EXPECT_EQ(json::parse(labelled.out)["search"]["metric"], "top1");
  const ProgramResult tight = run_program(quantize_with({"--min-db", "46", "-o", out, "--json"}));
  ASSERT_EQ(tight.code, 0) << tight.err;
  const json search = json::parse(tight.out)["search"];
  EXPECT_GE(search["quality"]["sqnr_db"], 46.0);
  EXPECT_LT(search["unrestricted"]["sqnr_db"], 46.0);
  EXPECT_GE(search["kept"].size(), 1U);
  EXPECT_LT(search["kept"].size(), search["layers"].get<std::size_t>());
}

TEST(QuantizeSearch, MistakesAreOneLine) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out.onnx");
  const auto fails = [&](std::vector<std::string> more, int code, const std::string& part) {
    more.insert(more.end(), {"-o", out});
    const ProgramResult result = run_program(quantize_with(more));
    SCOPED_TRACE(::testing::PrintToString(more));
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  fails({"--max-drop", "1", "--min-db", "3"}, 2, "either --max-drop or --min-db");
  fails({"--max-drop", "1", "--metric", "sqnr"}, 2, "give --min-db");
  fails({"--min-db", "1", "--metric", "top1", "--eval", kJudged, "--labels", "labels"}, 2, "give --max-drop");
  fails({"--max-drop", "1", "--metric", "top1"}, 2, "needs --eval DATA and --labels NAME");
  fails({"--max-drop", "1", "--labels", "labels"}, 2, "--eval, which is missing");
  fails({"--eval", kJudged}, 2, "belong to --max-drop");
  fails({"--sensitivity", "--max-drop", "1"}, 2, "either --sensitivity or");
  fails({"--rounding", "up"}, 2, "--rounding");
  fails({"--max-drop", "1", "--eval", kJudged, "--labels", "nobody"}, 1, "nobody");
  fails({"--min-db", "1000"}, 1, "does not hold with any layer quantized");
  const ProgramResult missing = run_program(quantize_with({}));
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("-o OUT.onnx is missing"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace qconv::testing
