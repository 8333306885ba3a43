// A report as JSON and as a page, made by hand: what files may contain must not become markup.
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/error.hpp>
#include <qconv/report.hpp>

namespace qconv {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

NetworkReport report_of(const std::string& name) {
  NetworkReport report;
  report.reference.name = name;
  report.other.name = name;
  report.data = name;
  report.samples = 3;
  report.inputs = {{name, float32, Shape{1, 2}, std::nullopt}};
  report.outputs = {{name, {12.5, 0.99, 0.5, 1}, 3, 2}};
  LayerReport layer;
  layer.info.name = name;
  layer.info.op = name;
  layer.info.detail = name;
  layer.info.kernel = name;
  layer.info.output = {name, quint8, Shape{1, 2}, QParams::per_tensor(0.1, 3)};
  layer.sources = {-1};
  layer.reference = name;
  layer.reference_kernel = name;
  layer.accumulated = ErrorFigures{std::numeric_limits<double>::infinity(), 1, 0, 0};
  layer.values = {4, 1, -1, 2, {-1, 1, {1, 0, 2}}};
  layer.range = QuantizedRange{0.1, 3, -0.3, 25.2, 0.25, 0};
  layer.weight = WeightReport{qint8, Shape{2, 1}, layer.values, {0.5, 0.125}, 40};
  report.layers = {layer};
  return report;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// What stands in the element that holds the data.
std::string data_of(const std::string& html) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t start = html.find(open) + open.size();
  return html.substr(start, html.find("</script>", start) - start);
}

TEST(ReportJson, HoldsWhatTheReportHolds) {
  const json report = json::parse(report_json(report_of("net")));
  EXPECT_EQ(report["format"], "qconv report");
  EXPECT_EQ(report["version"], 1);
  EXPECT_EQ(report["samples"], 3);
  EXPECT_EQ(report["outputs"][0]["top1"], (json{{"samples", 3}, {"same", 2}}));
  EXPECT_EQ(report["outputs"][0]["error"]["sqnr_db"], 12.5);
  EXPECT_TRUE(report["reference"]["file_bytes"].is_null());
  const json& layer = report["layers"][0];
  EXPECT_EQ(layer["sources"], json::array({-1}));
  EXPECT_EQ(layer["sizes"], json::array({1, 2}));
  EXPECT_TRUE(layer["accumulated"]["sqnr_db"].is_null()) << "JSON has no infinity";
  EXPECT_EQ(layer["accumulated"]["max_abs_error"], 0);
  EXPECT_TRUE(layer["local"].is_null());
  EXPECT_TRUE(layer["microseconds"].is_null());
  EXPECT_EQ(layer["range"]["scale"], 0.1);
  EXPECT_EQ(layer["range"]["zero_point"], 3);
  EXPECT_EQ(layer["range"]["clipped_below"], 0.25);
  EXPECT_EQ(layer["values"]["histogram"]["counts"], json::array({1, 0, 2}));
  EXPECT_EQ(layer["weight"]["scale_spread"], 4);
  EXPECT_EQ(layer["weight"]["scales"], json::array({0.5, 0.125}));
}

TEST(ReportJson, SurvivesNamesThatAreNotText) {
  const std::string bytes = "a\xff\xfe\"\\\n\x01 caf\xc3\xa9";
  const std::string text = report_json(report_of(bytes));
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c < 127; }));
  EXPECT_THAT(json::parse(text)["layers"][0]["name"].get<std::string>(), HasSubstr("caf\xc3\xa9"));
}

TEST(ReportHtml, KeepsHostileNamesInsideTheData) {
  for (const std::string name :
       {"</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>", "/*SCRIPT*/",
        "/*STYLE*/", "/*DATA*/", "]]><svg/onload=alert(1)>"}) {
    const std::string html = report_html(report_of(name));
    SCOPED_TRACE(name);
    EXPECT_EQ(json::parse(data_of(html)), json::parse(report_json(report_of(name))));
    EXPECT_THAT(data_of(html), Not(HasSubstr("<")));
    EXPECT_EQ(html.size() - data_of(html).size(),
              report_html(report_of("net")).size() - data_of(report_html(report_of("net"))).size());
    EXPECT_EQ(count(html, "<script"), 2U);
    EXPECT_EQ(count(html, "</script>"), 2U);
  }
}

TEST(ReportHtml, NeedsNothingElse) {
  std::string html = report_html(report_of("net"));
  const std::string svg = "http://www.w3.org/2000/svg";
  EXPECT_EQ(count(html, svg), 1U);
  html.replace(html.find(svg), svg.size(), "");
  for (const std::string part :
       {"http://", "https://", "src=", "<link", "@import", "url(", "fetch(", "innerHTML",
        "insertAdjacentHTML", "document.write", "eval(", "outerHTML", "/*STYLE*/"}) {
    EXPECT_THAT(html, Not(HasSubstr(part)));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_TRUE(
      std::all_of(html.begin(), html.end(), [](char c) { return c == '\n' || (c >= 32 && c < 127); }));
}

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(SaveReport, WritesBothFilesAndMakesTheFolder) {
  const std::filesystem::path top = std::filesystem::path(testing::TempDir()) / "qconv_report_test";
  std::filesystem::remove_all(top);
  std::filesystem::create_directory(top);
  const NetworkReport report = report_of("net");
  save_report(report, top / "made");
  save_report(report, top / "made");
  EXPECT_EQ(content(top / "made" / "report.json"), report_json(report) + "\n");
  EXPECT_EQ(content(top / "made" / "report.html"), report_html(report));
  EXPECT_THROW(save_report(report, top / "missing" / "made"), FileError);
  EXPECT_THROW(save_report(report, top / "made" / "report.json"), FileError);
  std::filesystem::remove_all(top);
}

}  // namespace
}  // namespace qconv
