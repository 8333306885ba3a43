#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <qconv/report.hpp>
#include <qconv/version.hpp>

namespace qconv {
namespace {

using ReportJson = nlohmann::ordered_json;

// To so many digits: what is measured is not known better, and reports of large networks stay small. JSON has
// no infinity and no NaN.
ReportJson rounded(double value, int digits = 6) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
}
ReportJson rounded(const std::optional<double>& value) { return value ? rounded(*value) : ReportJson(); }

// Enough digits for the float that is used.
ReportJson scale_json(double scale) { return rounded(scale, 9); }

ReportJson sizes_json(const std::optional<Shape>& sizes) {
  return sizes ? ReportJson(sizes->vec()) : ReportJson();
}

ReportJson error_json(const std::optional<ErrorFigures>& e) {
  if (!e) return nullptr;
  return {{"sqnr_db", rounded(e->sqnr_db)},
          {"cosine", rounded(e->cosine, 9)},
          {"mean_abs_error", rounded(e->mean_abs_error)},
          {"max_abs_error", rounded(e->max_abs_error)}};
}

ReportJson values_json(const ValueDistribution& v) {
  return {{"count", v.count},
          {"not_finite", v.not_finite},
          {"min", rounded(v.min)},
          {"max", rounded(v.max)},
          {"histogram",
           {{"first", v.histogram.first}, {"width", v.histogram.width}, {"counts", v.histogram.counts}}}};
}

ReportJson range_json(const std::optional<QuantizedRange>& r) {
  if (!r) return nullptr;
  return {{"scale", scale_json(r->scale)},
          {"zero_point", r->zero_point},
          {"low", rounded(r->low)},
          {"high", rounded(r->high)},
          {"clipped_below", rounded(r->clipped_below)},
          {"clipped_above", rounded(r->clipped_above)}};
}

ReportJson weight_json(const std::optional<WeightReport>& w) {
  if (!w) return nullptr;
  ReportJson json{
      {"dtype", to_string(w->dtype)}, {"sizes", w->sizes.vec()}, {"sqnr_db", rounded(w->sqnr_db)}};
  ReportJson scales = ReportJson::array();
  for (const double scale : w->scales) scales.push_back(scale_json(scale));
  json["scale_spread"] = nullptr;
  if (!w->scales.empty()) {
    const auto [least, greatest] = std::minmax_element(w->scales.begin(), w->scales.end());
    json["scale_spread"] = rounded(*greatest / *least);
  }
  json["scales"] = std::move(scales);
  json["values"] = values_json(w->values);
  return json;
}

ReportJson layer_json(const LayerReport& layer) {
  const LayerInfo& info = layer.info;
  return {{"name", info.name},
          {"op", info.op},
          {"detail", info.detail},
          {"quantized", info.quantized},
          {"sources", layer.sources},
          {"reference", layer.reference.empty() ? ReportJson() : ReportJson(layer.reference)},
          {"dtype", to_string(info.output.dtype)},
          {"sizes", sizes_json(info.output.sizes)},
          {"parameters", info.parameters},
          {"weight_bytes", info.weight_bytes},
          {"multiply_adds", info.multiply_adds},
          {"engine", info.engine},
          {"kernel", info.kernel},
          {"reference_kernel", layer.reference_kernel},
          {"microseconds", rounded(layer.microseconds)},
          {"reference_microseconds", rounded(layer.reference_microseconds)},
          {"accumulated", error_json(layer.accumulated)},
          {"local", error_json(layer.local)},
          {"range", range_json(layer.range)},
          {"values", values_json(layer.values)},
          {"weight", weight_json(layer.weight)}};
}

ReportJson side_json(const NetworkSide& side) {
  return {{"name", side.name},
          {"file_bytes", side.file_bytes == 0 ? ReportJson() : ReportJson(side.file_bytes)},
          {"weight_bytes", side.weight_bytes},
          {"parameters", side.parameters},
          {"activation_bytes", side.activation_bytes},
          {"microseconds", rounded(side.microseconds)}};
}

}  // namespace

std::string report_json(const NetworkReport& report) {
  ReportJson json{{"format", "qconv report"},
                  {"version", 1},
                  {"qconv", version()},
                  {"reference", side_json(report.reference)},
                  {"other", side_json(report.other)},
                  {"data", report.data},
                  {"samples", report.samples},
                  {"batches", report.batches},
                  {"timed_runs", report.timed_runs}};
  json["inputs"] = ReportJson::array();
  for (const ValueInfo& input : report.inputs) {
    json["inputs"].push_back(
        {{"name", input.name}, {"dtype", to_string(input.dtype)}, {"sizes", sizes_json(input.sizes)}});
  }
  json["outputs"] = ReportJson::array();
  for (const OutputReport& output : report.outputs) {
    ReportJson top1;
    if (output.samples) top1 = {{"samples", *output.samples}, {"same", output.same_top1}};
    json["outputs"].push_back({{"name", output.name}, {"error", error_json(output.error)}, {"top1", top1}});
  }
  json["layers"] = ReportJson::array();
  for (const LayerReport& layer : report.layers) json["layers"].push_back(layer_json(layer));
  return json.dump(-1, ' ', true, ReportJson::error_handler_t::replace);
}

}  // namespace qconv
