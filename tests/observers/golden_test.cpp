#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <qconv/observers.hpp>
#include <qconv/qconfig.hpp>

#include "observers/histogram_search.hpp"

// The observers against states, parameters and presets that PyTorch 2.5.1 printed (tests/golden/README.md).
namespace qconv {
namespace {

using Json = nlohmann::json;

class Golden {
 public:
  Golden() {
    const std::string base = QCONV_TEST_DATA "/golden/observers";
    std::ifstream(base + ".json") >> document;
    std::ifstream file(base + ".bin", std::ios::binary);
    blob_.assign(std::istreambuf_iterator<char>(file), {});
  }
  Tensor tensor(const Json& record) const {
    const auto offset = record.at("offset").get<std::size_t>();
    const auto length = record.at("length").get<std::size_t>();
    std::vector<float> values(length / sizeof(float));
    std::copy_n(blob_.data() + offset, length, reinterpret_cast<char*>(values.data()));
    return Tensor::from_data(values, Shape(record.at("shape").get<std::vector<std::int64_t>>()));
  }
  Json document;

 private:
  std::vector<char> blob_;
};

const Golden& golden() {
  static const Golden data;
  return data;
}

std::optional<QScheme> parse_scheme(const std::string& name) {
  for (const QScheme scheme : {QScheme::per_tensor_affine, QScheme::per_channel_affine,
                               QScheme::per_tensor_symmetric, QScheme::per_channel_symmetric}) {
    if (to_string(scheme) == name) return scheme;
  }
  return std::nullopt;
}

std::optional<std::int64_t> optional_integer(const Json& record, const char* key) {
  return record.at(key).is_null() ? std::nullopt : std::optional(record.at(key).get<std::int64_t>());
}

ObserverOptions options_of(const Json& record) {
  ObserverOptions o;
  o.dtype = *parse_dtype(record.at("dtype").get<std::string>());
  o.qscheme = parse_scheme(record.at("qscheme"));
  o.reduce_range = record.at("reduce_range");
  o.quant_min = optional_integer(record, "quant_min");
  o.quant_max = optional_integer(record, "quant_max");
  o.eps = record.at("eps");
  o.ch_axis = record.value("ch_axis", 0);
  o.averaging_constant = record.value("averaging_constant", 0.01);
  return o;
}

std::unique_ptr<Observer> make_observer(const Json& record) {
  const std::string name = record.at("class");
  const ObserverOptions o = options_of(record);
  if (name == "MinMaxObserver") return std::make_unique<MinMaxObserver>(o);
  if (name == "MovingAverageMinMaxObserver") return std::make_unique<MovingAverageMinMaxObserver>(o);
  if (name == "PerChannelMinMaxObserver") return std::make_unique<PerChannelMinMaxObserver>(o);
  if (name == "MovingAveragePerChannelMinMaxObserver")
    return std::make_unique<MovingAveragePerChannelMinMaxObserver>(o);
  if (name == "HistogramObserver") return std::make_unique<HistogramObserver>(o);
  throw std::runtime_error("no such class: " + name);
}

std::vector<double> doubles(std::span<const float> values) { return {values.begin(), values.end()}; }

void expect_state(const Observer& observer, const Json& record) {
  const StateDict state = observer.state_dict();
  const auto expected_min = record.at("min_val").get<std::vector<double>>();
  EXPECT_EQ(observer.calibrated(), !expected_min.empty());
  if (expected_min.empty()) return;
  EXPECT_EQ(doubles(state.find("min_val")->to_vector<float>()), expected_min);
  EXPECT_EQ(doubles(state.find("max_val")->to_vector<float>()),
            record.at("max_val").get<std::vector<double>>());
}

TEST(Golden, ObserversEqualPyTorch) {
  int without_counterpart = 0;
  int compared = 0;
  for (const Json& record : golden().document.at("observers")) {
    if (!parse_scheme(record.at("qscheme"))) {
      ++without_counterpart;  // per_channel_affine_float_qparams is for embeddings, which qconv has none of
      continue;
    }
    SCOPED_TRACE(record.dump());
    const auto observer = make_observer(record);
    for (const Json& batch : record.at("batches")) observer->observe(golden().tensor(batch));
    expect_state(*observer, record);
    const QParams found = observer->calculate_qparams().qparams;
    EXPECT_EQ(found.scales, record.at("scale").get<std::vector<double>>());
    EXPECT_EQ(found.zero_points, record.at("zero_point").get<std::vector<std::int64_t>>());
    ++compared;
  }
  EXPECT_EQ(without_counterpart, 2);
  EXPECT_GE(compared, 110);
}

TEST(Golden, HistogramsEqualPyTorch) {
  int compared = 0;
  for (const Json& record : golden().document.at("observers")) {
    if (!record.contains("histogram")) continue;
    SCOPED_TRACE(record.dump());
    HistogramObserver observer(options_of(record));
    for (const Json& batch : record.at("batches")) observer.observe(golden().tensor(batch));
    const std::vector<float> counts(observer.histogram().begin(), observer.histogram().end());
    EXPECT_EQ(counts, golden().tensor(record.at("histogram")).to_vector<float>());
    const BinRange found = search_range(counts, {observer.min_val(), observer.max_val()}, 256);
    EXPECT_EQ(static_cast<double>(found.min), record.at("search").at(0).get<double>());
    EXPECT_EQ(static_cast<double>(found.max), record.at("search").at(1).get<double>());
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST(Golden, FixedParametersEqualPyTorch) {
  for (const Json& record : golden().document.at("fixed")) {
    const FixedQParamsObserver observer(record.at("arguments").at(0), record.at("arguments").at(1));
    const QParams found = observer.calculate_qparams().qparams;
    EXPECT_EQ(found.scales, record.at("scale").get<std::vector<double>>());
    EXPECT_EQ(found.zero_points, record.at("zero_point").get<std::vector<std::int64_t>>());
  }
}

void expect_same_observer(const ObserverFactory& factory, const Json& record) {
  SCOPED_TRACE(record.dump());
  const auto observer = factory();
  EXPECT_EQ(observer->name(), record.at("class").get<std::string>());
  EXPECT_EQ(to_string(observer->dtype()), record.at("dtype").get<std::string>());
  EXPECT_EQ(to_string(observer->qscheme()), record.at("qscheme").get<std::string>());
  EXPECT_EQ(observer->quant_min(), record.at("quant_min").get<std::int64_t>());
  EXPECT_EQ(observer->quant_max(), record.at("quant_max").get<std::int64_t>());
  EXPECT_EQ(observer->eps(), record.at("eps").get<double>());
  EXPECT_EQ(observer->reduce_range(), record.value("reduce_range", false));
  EXPECT_EQ(observer->ch_axis(), record.value("ch_axis", 0));
  EXPECT_EQ(observer->is_dynamic(), record.at("is_dynamic").get<bool>());
  if (const auto* fake = dynamic_cast<const FakeQuantize*>(observer.get())) {
    EXPECT_EQ(fake->activation_post_process().name(), record.at("observer").get<std::string>());
  }
}

TEST(Golden, PresetsEqualPyTorch) {
  const std::vector<std::pair<std::string, QConfig>> presets{
      {"default_qconfig", default_qconfig()},
      {"default_per_channel_qconfig", default_per_channel_qconfig()},
      {"default_dynamic_qconfig", default_dynamic_qconfig()},
      {"default_symmetric_qnnpack_qconfig", default_symmetric_qnnpack_qconfig()},
      {"default_per_channel_symmetric_qnnpack_qconfig", default_per_channel_symmetric_qnnpack_qconfig()},
      {"default_qat_qconfig", default_qat_qconfig()},
      {"default_symmetric_qnnpack_qat_qconfig", default_symmetric_qnnpack_qat_qconfig()},
      {"default_per_channel_symmetric_qnnpack_qat_qconfig",
       default_per_channel_symmetric_qnnpack_qat_qconfig()},
      {"get_default_qat_qconfig(fbgemm)", get_default_qat_qconfig("fbgemm")},
      {"get_default_qat_qconfig(x86)", get_default_qat_qconfig("x86")},
      {"get_default_qat_qconfig(onednn)", get_default_qat_qconfig("onednn")},
      {"get_default_qat_qconfig(qnnpack)", get_default_qat_qconfig("qnnpack")},
      {"get_default_qconfig(fbgemm)", get_default_qconfig("fbgemm")},
      {"get_default_qconfig(x86)", get_default_qconfig("x86")},
      {"get_default_qconfig(onednn)", get_default_qconfig("onednn")},
      {"get_default_qconfig(qnnpack)", get_default_qconfig("qnnpack")},
  };
  for (const auto& [name, config] : presets) {
    SCOPED_TRACE(name);
    const Json& record = golden().document.at("presets").at(name);
    expect_same_observer(config.activation, record.at("activation"));
    expect_same_observer(config.weight, record.at("weight"));
  }
}

}  // namespace
}  // namespace qconv
