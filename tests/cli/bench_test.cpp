#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeader = "engine,isa,threads,name,kernel,median_us,min_us,gops";

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result(1);
  for (const char c : line) {
    if (c == ',') {
      result.emplace_back();
    } else {
      result.back() += c;
    }
  }
  return result;
}

TEST(Bench, PrintsTheFixedCsv) {
  const ProgramResult result = run_program({"bench", "--layers", repository_file("bench/layers.csv"),
                                            "--threads", "1", "--filter", "mbv2pw.320_1280_7_1x1"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], kHeader);
  const auto row = cells(lines[1]);
  ASSERT_EQ(row.size(), 8U);
  EXPECT_EQ(row[0], "native");
  EXPECT_EQ(row[2], "1");
  EXPECT_EQ(row[3], "mbv2pw.320_1280_7_1x1");
  const double median_us = std::stod(row[5]);
  const double min_us = std::stod(row[6]);
  EXPECT_GT(min_us, 0);
  EXPECT_GE(median_us, min_us);
  // 2 x 49 pixels x 320 x 1280 multiply-adds.
  EXPECT_NEAR(std::stod(row[7]), 2e-3 * 49 * 320 * 1280 / min_us, 0.5);
}

TEST(Bench, TakesProblemLinesAndEngines) {
  const std::string problem =
      "conv_transpose3d n1 c4 k6 g2 i3x4x5 f2x2x2 s2x2x2 p0x0x0 d1x1x1 o0x0x0 w:channel";
  const ProgramResult result =
      run_program({"bench", "--problem", problem, "--problem", "conv1d c8 k8 i30 f3 add_relu", "--engine",
                   "reference", "--json", "--threads", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto rows = nlohmann::json::parse(result.out);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["name"], problem);
  EXPECT_EQ(rows[0]["engine"], "reference");
  EXPECT_EQ(rows[0]["threads"], 2);
  EXPECT_GT(rows[1]["gops"], 0.0);
}

TEST(Bench, ExplainsPlansOnlyWhenAsked) {
  const std::vector<std::string> problems = {"bench", "--problem", "conv2d c64 k64 i9x9 f3x3", "--problem",
                                             "conv2d c16 k16 g16 i9x9 f3x3"};
  auto asked = problems;
  asked.emplace_back("--explain");
  const ProgramResult result = run_program(asked);
  ASSERT_EQ(result.code, 0) << result.err;
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 5U) << result.out;
  EXPECT_THAT(lines[1], ::testing::StartsWith("# conv2d n1 c64"));
  // Winograd's plan, but for instruction sets that have no such kernels.
  const bool winograd = lines[2].find("winograd") != std::string::npos;
  EXPECT_THAT(lines[1], HasSubstr(winograd ? " tasks" : " chunks"));
  EXPECT_EQ(cells(lines[2]).size(), 8U);
  EXPECT_THAT(lines[3], HasSubstr("bytes of scratch"));
  EXPECT_EQ(lines_of(run_program(problems).out).size(), 3U);
}

TEST(Bench, SaysWhatIsWrongWithALayerList) {
  const ScratchFolder scratch;
  const std::string header = "name,kind,ndim,N,C,K,in,kernel,stride,pad,dilation,groups,output_padding\n";
  const auto fails = [&](const std::string& content, const std::string& part) {
    const ProgramResult result = run_program({"bench", "--layers", scratch.write("layers.csv", content)});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  fails("", "no layers in it");
  fails("hello\n", "expected the first line to be");
  fails(header, "no layers in it");
  fails(header + "a,conv,2,1,3,64\n", ":2: expected 13 columns");
  fails(header + "a,pool,2,1,3,64,8x8,3x3,1x1,1x1,1x1,1,0x0\n", "kind: expected conv or convT");
  fails(header + "a,conv,4,1,3,64,8x8,3x3,1x1,1x1,1x1,1,0x0\n", "ndim: expected 1, 2 or 3");
  fails(header + "a,conv,2,1,3,64,8,3x3,1x1,1x1,1x1,1,0x0\n", "in: expected 2 numbers");
  fails(header + "a,conv,2,1,3,64,8x8,3xq,1x1,1x1,1x1,1,0x0\n", "kernel: expected a number, got 'q'");
  fails(header + "a,conv,2,1,3,64,8x8,3x3,0x0,1x1,1x1,1,0x0\n", "stride");
  fails(header + "a,conv,2,99999999999,99999999,64,8x8,3x3,1x1,1x1,1x1,1,0x0\n", ":2");
  EXPECT_EQ(run_program({"bench", "--layers", scratch.file("missing.csv")}).code, 1);
  EXPECT_EQ(run_program({"bench"}).code, 2);
  EXPECT_EQ(run_program({"bench", "--problem", "conv9d"}).code, 2);
}

}  // namespace
}  // namespace qconv::testing
