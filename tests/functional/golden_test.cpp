// What PyTorch and ONNX Runtime answer: golden.json, made by make_golden.py, which says where we may differ.
#include <cmath>
#include <fstream>
#include <functional>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/qconv.hpp>

#include "functional/support.hpp"

namespace qconv {
namespace {

using nlohmann::json;
using Inputs = std::vector<Tensor>;

Tensor tensor_of(const json& record) {
  const Shape sizes(record.at("sizes").get<std::vector<std::int64_t>>());
  if (record.contains("values")) return Tensor::from_data(record["values"].get<std::vector<float>>(), sizes);
  return make_quantized(
      Tensor::from_data(record.at("ints").get<std::vector<std::uint8_t>>(), sizes),
      QParams::per_tensor(record["scale"].get<double>(), record["zero_point"].get<std::int64_t>()));
}

Pooling pooling_of(const json& a) {
  Pooling p{.kernel_size = a.at("kernel").get<int>()};
  p.stride = IntList(a.at("stride").get<int>());
  p.padding = a.at("padding").get<int>();
  p.dilation = a.value("dilation", 1);
  p.ceil_mode = a.at("ceil").get<bool>();
  p.count_include_pad = a.value("count", true);
  return p;
}

Resize sized(Resize r, const json& a) {
  if (a.contains("size")) r.size = IntList(a["size"].get<std::vector<std::int64_t>>());
  if (a.contains("scale_factor")) r.scale_factor = a["scale_factor"].get<std::vector<double>>();
  return r;
}

Resize onnx_resize(const json& a) {
  Resize r;
  r.mode = parse_resize_mode(a.at("mode").get<std::string>());
  r.coordinates = parse_coordinate_mode(a.at("coordinates").get<std::string>());
  r.nearest_mode = parse_nearest_mode(a.at("nearest").get<std::string>());
  return sized(r, a);
}

std::optional<double> scale_of(const json& a) {
  return a.contains("scale") ? std::optional(a["scale"].get<double>()) : std::nullopt;
}
std::optional<std::int64_t> zero_point_of(const json& a) {
  return a.contains("zero_point") ? std::optional(a["zero_point"].get<std::int64_t>()) : std::nullopt;
}

Tensor interpolated(const Inputs& x, const json& a) {
  const Resize mode = Resize::pytorch(a.at("mode").get<std::string>(), a.at("align_corners").get<bool>());
  return functional::interpolate(x[0], sized(mode, a));
}

const std::map<std::string, std::function<Tensor(const Inputs&, const json&)>> kOps{
    {"interpolate", interpolated},
    {"interpolate_q", interpolated},
    {"resize", [](const Inputs& x, const json& a) { return functional::interpolate(x[0], onnx_resize(a)); }},
    {"max_pool", [](const Inputs& x, const json& a) { return functional::max_pool(x[0], pooling_of(a)); }},
    {"avg_pool", [](const Inputs& x, const json& a) { return functional::avg_pool(x[0], pooling_of(a)); }},
    {"adaptive_avg_pool",
     [](const Inputs& x, const json& a) {
       return functional::adaptive_avg_pool(x[0], a.at("size").get<int>());
     }},
    {"pad",
     [](const Inputs& x, const json& a) {
       return functional::pad(x[0], a.at("pad").get<std::vector<std::int64_t>>(),
                              parse_padding_mode(a.at("mode").get<std::string>()),
                              a.at("value").get<double>());
     }},
    {"add",
     [](const Inputs& x, const json& a) { return ops::add(x[0], x[1], *scale_of(a), *zero_point_of(a)); }},
    {"add_relu", [](const Inputs& x,
                    const json& a) { return ops::add_relu(x[0], x[1], *scale_of(a), *zero_point_of(a)); }},
    {"cat", [](const Inputs& x,
               const json& a) { return ops::cat(x, a.at("dim").get<int>(), scale_of(a), zero_point_of(a)); }},
    {"relu", [](const Inputs& x, const json&) { return ops::relu(x[0]); }},
    {"clamp",
     [](const Inputs& x, const json& a) {
       return ops::clamp(x[0], a.at("min").get<double>(), a.at("max").get<double>());
     }},
    {"softmax",
     [](const Inputs& x, const json& a) { return functional::softmax(x[0], a.at("dim").get<int>()); }},
    {"batch_norm",
     [](const Inputs& x, const json&) { return functional::batch_norm(x[0], x[1], x[2], x[3], x[4], 1e-5); }},
};

void expect_close(const Tensor& y, const Tensor& expected, const std::string& what) {
  const auto got = y.to_vector<float>();
  const auto want = expected.to_vector<float>();
  float most = 1;
  for (const float v : want) most = std::max(most, std::abs(v));
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], 4e-6 * most) << what << " at " << i;
}

void expect_integers(const Tensor& y, const Tensor& expected, bool exact, const std::string& what) {
  EXPECT_EQ(y.q_scale(), expected.q_scale()) << what;
  EXPECT_EQ(y.q_zero_point(), expected.q_zero_point()) << what;
  const auto got = test::integers(y);
  const auto want = test::integers(expected);
  std::size_t different = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::abs(got[i] - want[i]), exact ? 0 : 1) << what << " at " << i;
    different += got[i] != want[i] ? 1 : 0;
  }
  EXPECT_LE(different, got.size() / 50) << what;
}

TEST(Golden, TensorFunctionsAnswerAsPyTorchAndOnnxRuntimeDo) {
  std::ifstream file(QCONV_TEST_DATA "/functional/golden.json");
  const json golden = json::parse(file);
  ASSERT_GT(golden.at("cases").size(), 100U);
  for (const json& c : golden["cases"]) {
    const auto op = c.at("op").get<std::string>();
    const std::string what = op + " " + c.at("args").dump();
    Inputs inputs;
    for (const json& record : c.at("inputs")) inputs.push_back(tensor_of(record));
    const Tensor expected = tensor_of(c.at("output"));
    const Tensor y = kOps.at(op)(inputs, c["args"]);
    ASSERT_EQ(y.sizes(), expected.sizes()) << what;
    ASSERT_EQ(y.dtype(), expected.dtype()) << what;
    if (y.is_quantized()) {
      const bool exact = op != "add" && op != "add_relu" && op != "cat" && op != "interpolate_q";
      expect_integers(y, expected, exact, what);
    } else {
      expect_close(y, expected, what);
    }
  }
}

}  // namespace
}  // namespace qconv
