#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/io.hpp>

#include "cli/program.hpp"
#include "graph/onnx_builder.hpp"

namespace qconv::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kReportDigits = repository_file("examples/digits/digits.onnx");
const std::string kReportCalibration = repository_file("examples/digits/calibration.npz");
const std::string kReportTest = repository_file("examples/digits/test.npz");

void has_members(const json& object, const std::vector<std::string>& members) {
  for (const std::string& member : members)
    EXPECT_TRUE(object.contains(member)) << member << " in " << object;
}

json checked_report(const std::string& folder) {
  json report = json::parse(read_text(folder + "/report.json"));
  has_members(report, {"format", "version", "qconv", "reference", "other", "data", "samples", "batches",
                       "timed_runs", "inputs", "outputs", "layers"});
  for (const char* side : {"reference", "other"}) {
    has_members(report[side],
                {"name", "file_bytes", "weight_bytes", "parameters", "activation_bytes", "microseconds"});
    EXPECT_GT(report[side]["file_bytes"], 0);
    EXPECT_GT(report[side]["microseconds"], 0.0);
  }
  EXPECT_FALSE(report["layers"].empty());
  for (const json& layer : report["layers"]) {
    has_members(layer, {"name",          "op",
                        "detail",        "quantized",
                        "sources",       "reference",
                        "dtype",         "sizes",
                        "parameters",    "weight_bytes",
                        "multiply_adds", "engine",
                        "kernel",        "reference_kernel",
                        "microseconds",  "reference_microseconds",
                        "accumulated",   "local",
                        "range",         "values",
                        "weight"});
    has_members(layer["accumulated"], {"sqnr_db", "cosine", "mean_abs_error", "max_abs_error"});
    if (layer["quantized"]) {
      has_members(layer["range"], {"scale", "zero_point", "low", "high", "clipped_below", "clipped_above"});
      has_members(layer["local"], {"sqnr_db"});
    }
    if (!layer["weight"].is_null()) {
      has_members(layer["weight"], {"dtype", "sizes", "sqnr_db", "scale_spread", "scales", "values"});
    }
  }
  return report;
}

TEST(Report, QuantizeAndCompareWriteIt) {
  const ScratchFolder scratch;
  const std::string int8 = scratch.file("int8.onnx");
  const ProgramResult quantized =
      run_program({"quantize", kReportDigits, "--calibrate", kReportCalibration, "--samples", "20", "-o",
                   int8, "--report", scratch.file("quantized")});
  ASSERT_EQ(quantized.code, 0) << quantized.err;
  EXPECT_THAT(quantized.out, HasSubstr("report: " + scratch.file("quantized/report.html")));
  json report = checked_report(scratch.file("quantized"));
  EXPECT_EQ(report["samples"], 20);
  EXPECT_EQ(report["other"]["name"], int8);
  EXPECT_EQ(report["other"]["file_bytes"], std::filesystem::file_size(int8));

  const std::vector<std::string> compare{"compare",   kReportDigits, int8, "--data",
                                         kReportTest, "--samples",   "10"};
  std::vector<std::string> with_report = compare;
  with_report.insert(with_report.end(), {"--report", scratch.file("compared/"), "--json"});
  const ProgramResult compared = run_program(with_report);
  ASSERT_EQ(compared.code, 0) << compared.err;
  report = checked_report(scratch.file("compared"));
  EXPECT_EQ(report["outputs"][0]["top1"]["samples"], 10);
  std::vector<std::string> without_report = compare;
  without_report.emplace_back("--json");
  EXPECT_EQ(compared.out, run_program(without_report).out) << "a report changes nothing else";

  std::string html = read_text(scratch.file("compared/report.html"));
  const std::string svg = "http://www.w3.org/2000/svg";
  html.replace(html.find(svg), svg.size(), "");
  for (const char* part : {"http://", "https://", "src=", "<link", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(part)));
  }
}

TEST(Report, NamesFromAFileAreNoMarkup) {
  const ScratchFolder scratch;
  const std::string hostile = "</script><img src=x onerror=alert(1)>";
  testing_graph::ModelBuilder b = testing_graph::small_conv();
  b.graph().mutable_node(0)->set_name(hostile);
  const std::string network = scratch.write("net.onnx", b.bytes());
  save_npy(Tensor::from_data(std::vector<float>(50, 0.5F), Shape{1, 2, 5, 5}), scratch.file("x.npy"));
  const ProgramResult result =
      run_program({"compare", network, "--calibrate", scratch.file("x.npy"), "--data", scratch.file("x.npy"),
                   "--report", scratch.file("report")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(read_text(scratch.file("report/report.html")), Not(HasSubstr("<img")));
  bool found = false;
  const json report = checked_report(scratch.file("report"));
  for (const json& layer : report["layers"]) found = found || layer["name"] == hostile;
  EXPECT_TRUE(found);
}

TEST(Report, AFolderThatCannotBeIsFoundBeforeTheWork) {
  const ScratchFolder scratch;
  const std::string file = scratch.write("file", "");
  const auto fails = [&](const std::string& folder, const std::string& part) {
    const ProgramResult result = run_program(
        {"compare", kReportDigits, kReportDigits, "--data", scratch.file("missing.npz"), "--report", folder});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  fails(file, "expected a folder, this is a file");
  fails(scratch.file("no/where"), "there is no folder");
}

}  // namespace
}  // namespace qconv::testing
