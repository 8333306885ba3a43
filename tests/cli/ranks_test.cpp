// quantize and eval in several processes under mpirun.
#include <chrono>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/io.hpp>
#include <qconv/network.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const std::string kDigits = repository_file("examples/digits/digits.onnx");
const std::string kCalibration = repository_file("examples/digits/calibration.npz");
const std::string kTest = repository_file("examples/digits/test.npz");
const std::string kPhoto = repository_file("examples/photo/photo_x2.onnx");

ProgramResult on_ranks(int count, const std::vector<std::string>& arguments) {
  // More ranks than processors, as root where tests run as root, and what mpirun itself says about failures
  // left out; a rank that waits for ever is killed.
  std::vector<std::string> words{"timeout",
                                 "-k",
                                 "1",
                                 "120",
                                 QCONV_MPIRUN,
                                 "--allow-run-as-root",
                                 "--oversubscribe",
                                 "--quiet",
                                 "--bind-to",
                                 "none",
                                 "-n",
                                 std::to_string(count),
                                 kQconv};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_command(words);
}

std::vector<std::string> lines_of_qconv(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("qconv")) lines.push_back(line);
  }
  return lines;
}

// A failure is prompt, said once, and leaves nothing in `scratch` that begins with "out".
void fails_promptly(int count, const std::vector<std::string>& arguments, const ScratchFolder& scratch,
                    const std::string& line) {
  const auto start = std::chrono::steady_clock::now();
  const ProgramResult result = on_ranks(count, arguments);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_GT(result.code, 0);
  EXPECT_NE(result.code, 124) << "it hung";
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of_qconv(result.err).size(), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr(line));
  for (const auto& entry : fs::directory_iterator(scratch.file(""))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("out")) << entry.path();
  }
}

class SameBytes : public ::testing::TestWithParam<const char*> {};

TEST_P(SameBytes, OnFourRanksAsOnOne) {
  const ScratchFolder scratch;
  const auto arguments = [&](const std::string& out) -> std::vector<std::string> {
    return {"quantize", kDigits, "--calibrate", kCalibration, "--observer", GetParam(), "-o", out};
  };
  const ProgramResult one = run_program(arguments(scratch.file("one.onnx")));
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("calibrated on 160 samples in"));
  const ProgramResult four = on_ranks(4, arguments(scratch.file("four.onnx")));
  ASSERT_EQ(four.code, 0) << four.err;
  EXPECT_EQ(four.err, "");
  EXPECT_THAT(four.out, HasSubstr("11 of 11 layers in int8, calibrated on 160 samples on 4 ranks in"));
  EXPECT_EQ(lines_of(four.out).size(), lines_of(one.out).size()) << four.out;
  EXPECT_TRUE(read_text(scratch.file("one.onnx")) == read_text(scratch.file("four.onnx")));
}

INSTANTIATE_TEST_SUITE_P(Ranks, SameBytes, ::testing::Values("minmax", "percentile", "entropy", "mse"));

TEST(Ranks, HistogramStaysWithinItsBound) {
  const ScratchFolder scratch;
  const auto scales_of = [&](const std::string& file) {
    std::vector<double> scales;
    for (const LayerInfo& layer : Network::load(file).layers()) {
      if (layer.output.qparams) scales.push_back(layer.output.qparams->scales[0]);
    }
    return scales;
  };
  const auto arguments = [&](const std::string& out) -> std::vector<std::string> {
    return {"quantize", kDigits, "--calibrate", kCalibration, "-o", out, "--json"};
  };
  ASSERT_EQ(run_program(arguments(scratch.file("one.onnx"))).code, 0);
  const ProgramResult four = on_ranks(4, arguments(scratch.file("four.onnx")));
  ASSERT_EQ(four.code, 0) << four.err;
  EXPECT_EQ(json::parse(four.out)["ranks"], 4);
  const std::vector<double> one_scales = scales_of(scratch.file("one.onnx"));
  const std::vector<double> four_scales = scales_of(scratch.file("four.onnx"));
  ASSERT_GT(one_scales.size(), 8U);
  ASSERT_EQ(one_scales.size(), four_scales.size());
  for (std::size_t i = 0; i < one_scales.size(); ++i) {
    EXPECT_NEAR(four_scales[i] / one_scales[i], 1.0, 0.16);  // docs/numerics.md, "Merging"
  }
}

TEST(Ranks, EvalCountsTheSame) {
  const std::vector<std::string> arguments{"eval", kDigits, "--data", kTest, "--samples", "90", "--json"};
  const ProgramResult one = run_program(arguments);
  ASSERT_EQ(one.code, 0) << one.err;
  const ProgramResult four = on_ranks(4, arguments);
  ASSERT_EQ(four.code, 0) << four.err;
  json a = json::parse(one.out);
  json b = json::parse(four.out);
  EXPECT_GT(b[0]["median_us"], 0.0);
  a[0].erase("median_us");
  b[0].erase("median_us");
  EXPECT_EQ(a, b);
}

TEST(Ranks, MoreThanSamplesIsNoFailure) {
  const ScratchFolder scratch;
  for (const std::string observer : {"minmax", "entropy", "histogram", "moving-average"}) {
    const std::string from = scratch.file("one.onnx");
    const std::string to = scratch.file("four.onnx");
    const auto arguments = [&](const std::string& out) -> std::vector<std::string> {
      return {"quantize", kDigits,      "--calibrate", kCalibration, "--samples",
              "2",        "--observer", observer,      "-o",         out};
    };
    ASSERT_EQ(run_program(arguments(from)).code, 0);
    const ProgramResult four = on_ranks(4, arguments(to));
    ASSERT_EQ(four.code, 0) << four.err;
    if (observer == "minmax" || observer == "entropy") {
      EXPECT_TRUE(read_text(from) == read_text(to)) << observer;
    }
  }
  const ProgramResult eval = on_ranks(4, {"eval", kDigits, "--data", kTest, "--samples", "3", "--json"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  EXPECT_EQ(json::parse(eval.out)[0]["samples"], 3);
}

TEST(Ranks, ARankThatFailsEndsAll) {
  const ScratchFolder scratch;
  const std::string photos = scratch.file("photos");
  fs::create_directory(photos);
  for (const char* name : {"a.png", "b.png", "d.png"}) {
    fs::copy_file(repository_file("examples/photo/test/low.png"), fs::path(photos) / name);
  }
  scratch.write("photos/c.png", "no image");  // the third of four ranks gets it
  fails_promptly(4, {"quantize", kPhoto, "--calibrate", photos, "-o", scratch.file("out.onnx")}, scratch,
                 "qconv quantize: rank 2: " + photos + "/c.png");
}

TEST(Ranks, TheRootFailsAfterTheOthersAreDone) {
  const ScratchFolder scratch;
  fs::create_directory(scratch.file("taken.onnx"));
  fails_promptly(
      3,
      {"quantize", kDigits, "--calibrate", kCalibration, "--samples", "6", "-o", scratch.file("taken.onnx")},
      scratch, "qconv quantize: rank 0: " + scratch.file("taken.onnx"));
  fails_promptly(3, {"quantize", kDigits, "--calibrate", kCalibration, "-o", scratch.file("no/out.onnx")},
                 scratch, "qconv quantize: rank 0: " + scratch.file("no/out.onnx"));
}

TEST(Ranks, WhatFailsEverywhereIsSaidOnce) {
  const ScratchFolder scratch;
  fails_promptly(3, {"quantize", "none.onnx", "--calibrate", kCalibration, "-o", scratch.file("out.onnx")},
                 scratch, "qconv quantize: none.onnx: no such file");
  fails_promptly(3, {"eval", kDigits}, scratch, "qconv eval: give either --data");
  fails_promptly(3, {"quantize", "--observer"}, scratch, "qconv quantize: --observer");
}

TEST(Ranks, OneRankSpeaks) {
  const ProgramResult help = on_ranks(3, {"quantize", "--help"});
  EXPECT_EQ(help.code, 0) << help.err;
  EXPECT_EQ(help.out, run_program({"quantize", "--help"}).out);
}

TEST(Ranks, OneRankIsLikeNone) {
  const ScratchFolder scratch;
  const ProgramResult one = on_ranks(1, {"quantize", kDigits, "--calibrate", kCalibration, "--samples", "4",
                                         "-o", scratch.file("out.onnx")});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("calibrated on 4 samples in"));
}

}  // namespace
}  // namespace qconv::testing
