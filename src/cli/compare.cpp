#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include <qconv/quantize_network.hpp>

#include "cli/command.hpp"
#include "cli/dataset.hpp"
#include "cli/network_tools.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/report.hpp"
#include "cli/runtime_options.hpp"
#include "cli/validators.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  Preprocessing preprocessing;
  std::string float_network;
  std::string int8_network;
  std::string calibration;
  std::string data;
  std::string array;
  std::size_t samples = 32;
  std::string report;
  bool json = false;
};

// JSON has no infinity: equal layers have null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Network int8_network(const Options& options, const Network& reference, std::int64_t channels) {
  if (!options.int8_network.empty()) return load_network(options.int8_network);
  const Dataset data(options.calibration, options.preprocessing, options.array);
  Progress progress("calibrating", data.size());
  return quantize(reference, batches_of(data, channels, progress));
}

// The rows of the table from the report, so that both come from one run.
std::vector<LayerDifference> differences_of(const NetworkReport& report) {
  std::vector<LayerDifference> rows;
  for (const LayerReport& layer : report.layers) {
    if (layer.reference.empty() || !layer.accumulated) continue;
    const ErrorFigures& e = *layer.accumulated;
    rows.push_back({layer.reference, layer.info.op, e.sqnr_db, e.cosine, e.mean_abs_error, e.max_abs_error,
                    layer.values.min, layer.values.max});
  }
  return rows;
}

std::vector<LayerDifference> report_over(const Options& options, const Network& reference,
                                         const Network& other, const BatchSource& batches) {
  NetworkReport report = analyze(reference, other, batches);
  std::vector<LayerDifference> rows = differences_of(report);
  const bool made_here = options.int8_network.empty();
  write_report(
      std::move(report),
      {.reference = options.float_network,
       .reference_bytes = std::filesystem::file_size(options.float_network),
       .other = made_here ? fmt::format("int8 (calibrated on {})",
                                        std::filesystem::path(options.calibration).filename().string())
                          : options.int8_network,
       .other_bytes = made_here ? other.to_onnx().size() : std::filesystem::file_size(options.int8_network),
       .data = options.data},
      options.report);
  return rows;
}

std::vector<LayerDifference> compare_over(const Options& options, const Dataset& data) {
  const Network reference = load_network(options.float_network);
  const std::int64_t channels = channels_of(only_input(reference, options.float_network));
  const Network other = int8_network(options, reference, channels);
  only_input(other, options.int8_network);
  const std::array<Shape, 1> sizes{data.sample(0, channels).sizes()};
  naming(options.float_network, [&] { return reference.memory(sizes); });
  naming(options.int8_network, [&] { return other.memory(sizes); });
  Progress progress("comparing", data.size());
  std::vector<LayerDifference> layers =
      options.report.empty() ? compare_layers(reference, other, batches_of(data, channels, progress))
                             : report_over(options, reference, other, batches_of(data, channels, progress));
  check(!layers.empty(), "{} and {} have no layer in common: is the second made of the first?",
        options.float_network, options.int8_network);
  std::stable_sort(layers.begin(), layers.end(),
                   [](const auto& a, const auto& b) { return a.sqnr_db < b.sqnr_db; });
  return layers;
}

int run(const Options& options) {
  if (options.int8_network.empty() == options.calibration.empty()) {
    throw UsageError("give either INT8.onnx, or --calibrate DATA to quantize here and now");
  }
  if (!options.report.empty()) require_report_folder(options.report);
  options.runtime.apply();
  const Dataset data(options.data, options.preprocessing, options.array, options.samples);
  const std::vector<LayerDifference> layers = compare_over(options, data);
  if (options.json) {
    Json rows = Json::array();
    for (const LayerDifference& layer : layers) {
      rows.push_back({{"layer", layer.name},
                      {"op", layer.op},
                      {"sqnr_db", number(layer.sqnr_db)},
                      {"cosine", layer.cosine},
                      {"mean_abs_error", layer.mean_abs_error},
                      {"max_abs_error", layer.max_abs_error},
                      {"reference_min", layer.reference_min},
                      {"reference_max", layer.reference_max}});
    }
    write_json({{"samples", data.size()}, {"layers", rows}});
    return kOk;
  }
  Table table({"layer", "op", "SQNR dB", "cosine", "mean error", "max error", "float min", "float max"});
  for (const LayerDifference& layer : layers) {
    table.add({layer.name, layer.op, fmt::format("{:.2f}", layer.sqnr_db),
               fmt::format("{:.6f}", layer.cosine), fmt::format("{:.3g}", layer.mean_abs_error),
               fmt::format("{:.3g}", layer.max_abs_error), fmt::format("{:.4g}", layer.reference_min),
               fmt::format("{:.4g}", layer.reference_max)});
  }
  table.print();
  write_out("\nover {} {}, worst first\n", data.size(), data.size() == 1 ? "sample" : "samples");
  if (!options.report.empty()) write_out("{}\n", report_line(options.report));
  return kOk;
}

}  // namespace

Action add_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("float", options->float_network, "The float network")->required()->type_name("FLOAT.onnx");
  app.add_option("int8", options->int8_network, "What 'qconv quantize' made of it")->type_name("INT8.onnx");
  app.add_option("--calibrate", options->calibration,
                 "Instead of INT8.onnx: quantize with this data, as 'qconv quantize' would without options")
      ->type_name("DATA");
  app.add_option("--data", options->data, "Inputs: a folder of images, an image, .npy or .npz")
      ->required()
      ->type_name("DATA");
  app.add_option("--array", options->array, "Array of an .npz file (default: images, or the only one)")
      ->type_name("NAME");
  app.add_option("--samples", options->samples, "Use so many, spread evenly (0: all)")
      ->check(sample_count())
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--report", options->report,
                 "Write report.html, for any browser, and report.json into this folder")
      ->type_name("DIR");
  app.add_flag("--json", options->json, "Print JSON");
  options->preprocessing.add_to(app);
  options->runtime.add_to(app);
  app.footer(
      "Runs both networks and compares each layer's result. SQNR is the signal-to-quantization-noise ratio:\n"
      "below about 10 dB a layer hurts; keep it in float with 'qconv quantize --exclude LAYER'.\n\n"
      "Examples:\n"
      "  qconv compare digits.onnx digits.int8.onnx --data examples/digits/test.npz\n"
      "  qconv compare digits.onnx digits.int8.onnx --data examples/digits/test.npz --report digits-report\n"
      "  qconv compare digits.onnx --calibrate calibration.npz --data test.npz\n"
      "  qconv compare model.onnx model.int8.onnx --data photos/ --samples 8 --json");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
