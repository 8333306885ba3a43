#include <memory>

#include <qconv/quantize_network.hpp>

#include "cli/command.hpp"
#include "cli/dataset.hpp"
#include "cli/files.hpp"
#include "cli/network_tools.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/quantize_config.hpp"
#include "cli/quantize_search.hpp"
#include "cli/report.hpp"
#include "cli/runtime_options.hpp"
#include "cli/timing.hpp"
#include "cli/validators.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  Preprocessing preprocessing;
  std::string network;
  std::string output;
  std::string calibration;
  std::string array;
  std::size_t samples = 0;
  ObserverChoice observer;
  std::string config;
  bool per_tensor = false;
  std::vector<std::string> exclude;
  std::vector<std::string> exclude_ops;
  RepairOptions repair;
  std::string report;
  bool json = false;
};

// The most samples that a report is made of.
constexpr std::size_t kReportSamples = 32;

QuantizeOptions choices_of(const Options& options) {
  QuantizeOptions choices;
  choices.activation = options.observer.make();
  choices.per_channel = !options.per_tensor;
  choices.exclude_layers = options.exclude;
  choices.exclude_ops = options.exclude_ops;
  if (!options.config.empty()) choices.rules = read_rules(options.config, options.observer);
  options.repair.apply(choices);
  return choices;
}

// On the root, what all ranks saw; on the others, nothing.
Calibration calibrate(const Options& options, const QuantizeOptions& choices, const Network& network,
                      const Dataset& data) {
  const std::int64_t channels = channels_of(only_input(network, options.network));
  const Dataset samples = share_of(data);
  Calibration share(network, choices);
  Progress progress("calibrating", samples.size(), ranks().root());
  share.observe(batches_of(samples, channels, progress));
  Calibration all(network, choices);
  ranks().gather(share.state_dict(), [&](const StateDict& state) { all.merge_state(state); });
  return all;
}

/// What happened, for people and for programs.
struct Summary {
  std::size_t layers = 0;
  std::vector<std::string> float_layers;
  std::size_t samples = 0;
  std::uintmax_t bytes_before = 0;
  std::uintmax_t bytes_after = 0;
  double seconds = 0;
};

Summary summarize(const Options& options, const Network& quantized, std::size_t samples, double seconds) {
  Summary summary;
  for (const LayerInfo& layer : quantized.layers()) {
    if (layer.op == "QuantizeLinear" || layer.op == "DequantizeLinear") continue;
    ++summary.layers;
    if (!layer.quantized) summary.float_layers.push_back(fmt::format("{} ({})", layer.name, layer.op));
  }
  summary.samples = samples;
  summary.bytes_before = std::filesystem::file_size(options.network);
  summary.bytes_after = std::filesystem::file_size(options.output);
  summary.seconds = seconds;
  return summary;
}

void print_summary(const Options& options, const Summary& s) {
  const std::string where = ranks().size() == 1 ? "" : fmt::format(" on {} ranks", ranks().size());
  write_out("{}: {} of {} layers in int8, calibrated on {} {}{} in {}\n", options.output,
            s.layers - s.float_layers.size(), s.layers, s.samples, s.samples == 1 ? "sample" : "samples",
            where, human_time(s.seconds));
  for (const std::string& layer : s.float_layers) write_out("float: {}\n", layer);
  const auto before = static_cast<double>(s.bytes_before);
  const auto after = static_cast<double>(s.bytes_after);
  write_out("{} -> {}, {:.2f}x smaller\n", human_bytes(before), human_bytes(after), before / after);
}

Json to_json(const Options& options, const Summary& s) {
  return {{"output", options.output},
          {"layers", s.layers},
          {"quantized_layers", s.layers - s.float_layers.size()},
          {"float_layers", s.float_layers},
          {"samples", s.samples},
          {"ranks", ranks().size()},
          {"bytes_before", s.bytes_before},
          {"bytes_after", s.bytes_after},
          {"seconds", s.seconds}};
}

// Sets what was written against what it was made of, on some of the samples.
void report_on(const Options& options, const Network& network, const Network& quantized) {
  const std::size_t limit = options.samples == 0 ? kReportSamples : std::min(options.samples, kReportSamples);
  const Dataset data(options.calibration, options.preprocessing, options.array, limit);
  Progress progress("comparing", data.size());
  const std::int64_t channels = channels_of(only_input(network, options.network));
  write_report(analyze(network, quantized, batches_of(data, channels, progress)),
               {.reference = options.network,
                .reference_bytes = std::filesystem::file_size(options.network),
                .other = options.output,
                .other_bytes = std::filesystem::file_size(options.output),
                .data = options.calibration},
               options.report);
}

int run(const Options& options) {
  options.repair.check();
  if (ranks().size() > 1 && options.repair.needs_data_again()) {
    throw UsageError(
        "--correct-bias, --rounding, --sensitivity, --max-drop and --min-db need all of the data in one "
        "process; "
        "start it without mpirun");
  }
  if (options.repair.only_measures()) {
    options.runtime.apply();
    const Network network = load_network(options.network);
    const Dataset data(options.calibration, options.preprocessing, options.array, options.samples);
    print_sensitivity({network, options.network, data, options.preprocessing, options.repair},
                      choices_of(options), options.json);
    return kOk;
  }
  if (options.output.empty()) {
    throw UsageError("-o OUT.onnx is missing; only --sensitivity makes no network");
  }
  if (kind_of(options.output) != FileKind::onnx) {
    throw UsageError(fmt::format("-o {}: expected a name that ends in .onnx", options.output));
  }
  if (!options.report.empty() && ranks().root()) require_report_folder(options.report);
  options.runtime.apply();
  const QuantizeOptions choices = choices_of(options);
  if (ranks().root()) require_folder_for(options.output);
  const Network network = load_network(options.network);
  const Dataset data(options.calibration, options.preprocessing, options.array, options.samples);
  Repaired repaired;
  const double seconds = seconds_of([&] {
    if (ranks().size() == 1) {
      repaired =
          quantize_repaired({network, options.network, data, options.preprocessing, options.repair}, choices);
      repaired.network->save(options.output);
      return;
    }
    const Calibration calibration = calibrate(options, choices, network, data);
    if (ranks().root()) calibration.quantize().save(options.output);
  });
  if (!ranks().root()) return kOk;
  // Read back from the file: what is told is what others will find in it.
  const Network quantized = Network::load(options.output);
  const Summary summary = summarize(options, quantized, data.size(), seconds);
  if (!options.report.empty()) report_on(options, network, quantized);
  if (options.json) {
    Json json = to_json(options, summary);
    repaired.add_to(json);
    write_json(json);
  } else {
    print_summary(options, summary);
    repaired.print();
    if (!options.report.empty()) write_out("{}\n", report_line(options.report));
  }
  return kOk;
}

}  // namespace

Action add_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("network", options->network, "The float network")->required()->type_name("NETWORK.onnx");
  app.add_option("-o,--output", options->output, "Where the int8 network goes (QDQ ONNX)")
      ->type_name("OUT.onnx");
  app.add_option(
         "--calibrate", options->calibration,
         "Typical inputs: a folder of images, an image, .npy or .npz (array 'images', or the only one)")
      ->required()
      ->type_name("DATA");
  app.add_option("--array", options->array, "Array of an .npz file")->type_name("NAME");
  app.add_option("--samples", options->samples, "Use so many, spread evenly over the data (default: all)")
      ->check(sample_count())
      ->type_name("N");
  options->observer.add_to(app);
  app.add_flag("--per-tensor", options->per_tensor,
               "One scale for all of a weight, not one per output channel");
  app.add_option("--exclude", options->exclude,
                 "A layer that stays float, or a pattern as '/layer1/*'; may be repeated")
      ->allow_extra_args(false)
      ->type_name("LAYER");
  app.add_option("--exclude-op", options->exclude_ops,
                 "An operator that stays float, as Gemm; may be repeated")
      ->allow_extra_args(false)
      ->type_name("OP");
  app.add_option(
         "--config", options->config,
         "Rules for some layers: {\"rules\": [{\"name\": \"/stem/*\", \"op\": \"Conv\", \"exclude\": true}, "
         "...]}")
      ->type_name("FILE.json");
  app.add_option(
         "--report", options->report,
         "Compare with the float network on at most 32 of the samples; write report.html and report.json "
         "into this folder")
      ->type_name("DIR");
  options->repair.add_to(app);
  app.add_flag("--json", options->json, "Print JSON");
  options->preprocessing.add_to(app);
  options->runtime.add_to(app);
  app.footer(
      "Examples:\n"
      "  qconv quantize digits.onnx --calibrate calibration.npz -o digits.int8.onnx\n"
      "  qconv quantize photo.onnx --calibrate photos/ --samples 100 --observer minmax -o photo.int8.onnx\n"
      "  qconv quantize model.onnx --calibrate photos/ --observer percentile --percentile 99.9 \\\n"
      "      --config rules.json -o model.int8.onnx\n"
      "  qconv quantize model.onnx --calibrate photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 \\\n"
      "      --exclude /classify/Gemm -o model.int8.onnx\n"
      "  qconv quantize digits.onnx --calibrate calibration.npz --sensitivity\n"
      "  qconv quantize digits.onnx --calibrate calibration.npz --max-drop 0.5 --eval test.npz --labels "
      "labels \\\n"
      "      -o digits.int8.onnx\n"
      "  mpirun -n 4 qconv quantize model.onnx --calibrate photos/ -o model.int8.onnx");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
