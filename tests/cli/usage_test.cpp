#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace qconv::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// One line on standard error, nothing on standard output.
void expect_error(const std::vector<std::string>& arguments, int code, const std::string& part) {
  const ProgramResult result = run_program(arguments);
  SCOPED_TRACE(::testing::PrintToString(arguments));
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
  EXPECT_THAT(result.err, StartsWith("qconv"));
  EXPECT_THAT(result.err, HasSubstr(part));
}

TEST(Usage, MistakesOnTheCommandLineAreCode2) {
  expect_error({}, 2, "no verb given");
  expect_error({"frobnicate"}, 2, "no verb 'frobnicate'; there are info");
  expect_error({"info", "--bar"}, 2, "--bar");
  expect_error({"info", "--threads", "0"}, 2, "--threads");
  expect_error({"info", "--threads", "many"}, 2, "--threads");
  expect_error({"info", "--isa", "sse9"}, 2, "--isa sse9: not an instruction set of this build; there are");
  expect_error({"info", "--engine", "warp"}, 2,
               "--engine warp: not an engine of this build; there are native");
}

TEST(Usage, EveryVerbHasHelpWithExamples) {
  const ProgramResult all = run_program({"--help"});
  ASSERT_EQ(all.code, 0);
  std::vector<std::string> verbs;
  bool listing = false;
  for (const std::string& line : lines_of(all.out)) {
    if (listing && line.empty()) break;
    if (listing) verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    if (line == "Subcommands:") listing = true;
  }
  EXPECT_GE(verbs.size(), 2U);
  for (const std::string& verb : verbs) {
    SCOPED_TRACE(verb);
    const ProgramResult help = run_program({verb, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, HasSubstr("Usage: qconv " + verb));
    EXPECT_THAT(help.out, HasSubstr("Examples:\n  qconv " + verb));
  }
}

TEST(Usage, OutputThatCannotBeWrittenIsAFailure) {
  for (const Stdout where : {Stdout::closed, Stdout::full_disk}) {
    const ProgramResult result = run_program({"info"}, where);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("cannot write to standard output"));
  }
}

TEST(Info, ListsWhatTheBuildHas) {
  const ProgramResult text = run_program({"info"});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, HasSubstr("native (active), reference"));
  const ProgramResult json = run_program({"info", "--json", "--threads", "3", "--isa", "scalar"});
  ASSERT_EQ(json.code, 0) << json.err;
  const auto info = nlohmann::json::parse(json.out);
  EXPECT_EQ(info["threads"], 3);
  EXPECT_EQ(info["engines"][0], "native");
  EXPECT_EQ(info["active_engine"], "native");
  for (const auto& set : info["instruction_sets"]) EXPECT_EQ(set["active"], set["name"] == "scalar");
  EXPECT_FALSE(info["kernels"].empty());
}

TEST(Environment, ChoosesWhereItRuns) {
  const ProgramResult info =
      run_program({"info", "--json"}, Stdout::captured,
                  {{"QCONV_ISA", "scalar"}, {"QCONV_ENGINE", "reference"}, {"QCONV_NUM_THREADS", "3"}});
  ASSERT_EQ(info.code, 0) << info.err;
  const auto json = nlohmann::json::parse(info.out);
  EXPECT_EQ(json["active_engine"], "reference");
  EXPECT_EQ(json["threads"], 3);
  for (const auto& set : json["instruction_sets"]) EXPECT_EQ(set["active"], set["name"] == "scalar");
  // What was asked for is what runs.
  const std::vector<std::string> bench{"bench", "--problem", "conv2d c4 k4 i4x4 f3x3"};
  const ProgramResult scalar = run_program(bench, Stdout::captured, {{"QCONV_ISA", "scalar"}});
  ASSERT_EQ(scalar.code, 0) << scalar.err;
  EXPECT_THAT(scalar.out, HasSubstr("native,scalar,1,"));
  EXPECT_THAT(scalar.out, HasSubstr("_scalar,"));
  const ProgramResult reference = run_program(bench, Stdout::captured, {{"QCONV_ENGINE", "reference"}});
  ASSERT_EQ(reference.code, 0) << reference.err;
  EXPECT_THAT(reference.out, HasSubstr("reference,scalar,1,"));
}

TEST(Environment, AWrongNameIsAnErrorAndAnOptionGoesFirst) {
  const std::vector<std::pair<Variable, std::string>> wrong{
      {{"QCONV_ISA", "sse9"}, "QCONV_ISA='sse9' is not an instruction set of this build; there are"},
      {{"QCONV_ENGINE", "warp"}, "QCONV_ENGINE='warp' is not an engine of this build; there are native"},
      {{"QCONV_NUM_THREADS", "many"}, "QCONV_NUM_THREADS='many' is not a number from 1 to 1024"},
      {{"QCONV_NUM_THREADS", "0"}, "QCONV_NUM_THREADS='0' is not a number from 1 to 1024"},
  };
  // A float network has no use for the engine; the name is wrong all the same.
  const std::string digits = repository_file("examples/digits/digits.onnx");
  for (const auto& [variable, message] : wrong) {
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{{"info"}, {"inspect", digits}}) {
      const ProgramResult result = run_program(arguments, Stdout::captured, {variable});
      EXPECT_EQ(result.code, 1);
      EXPECT_EQ(result.out, "");
      EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
      EXPECT_THAT(result.err, HasSubstr(message));
    }
    EXPECT_EQ(run_program({"info", "--isa", "scalar", "--engine", "native", "--threads", "2"},
                          Stdout::captured, {variable})
                  .code,
              0);
  }
}

}  // namespace
}  // namespace qconv::testing
