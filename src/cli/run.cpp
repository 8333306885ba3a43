#include <algorithm>
#include <memory>
#include <optional>

#include <qconv/io.hpp>

#include "cli/command.hpp"
#include "cli/dataset.hpp"
#include "cli/files.hpp"
#include "cli/metrics.hpp"
#include "cli/network_tools.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/runtime_options.hpp"
#include "cli/tensor_stats.hpp"
#include "cli/timing.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  Preprocessing preprocessing;
  std::string network;
  std::string input;
  std::string output;
  std::string array;
  int repeat = 1;
  bool profile = false;
  bool json = false;
};

/// In seconds. Reading and packing, the run that also plans, and the runs that count.
struct Times {
  double load = 0;
  double first = 0;
  std::vector<double> runs;

  [[nodiscard]] double median() const { return cli::median(runs); }
  [[nodiscard]] double min() const { return *std::min_element(runs.begin(), runs.end()); }
};

// The network's inputs from the file: one array for each by its name, or all samples of the only one.
std::vector<Tensor> read_inputs(const Network& network, const Options& options) {
  require_file(options.input);
  const FileKind kind = kind_of(options.input);
  if (network.inputs().size() == 1) {
    if (!is_image(kind)) {
      check<FileError>(kind == FileKind::npy || kind == FileKind::npz,
                       "{}: cannot read an input from it; expected an image, .npy or .npz", options.input);
      return {options.preprocessing.apply(load_array(options.input, options.array))};
    }
    return {Dataset(options.input, options.preprocessing).sample(0, channels_of(network.inputs()[0]))};
  }
  check<FileError>(kind == FileKind::npz,
                   "{}: the network has {} inputs; expected an .npz file with an array for each",
                   options.input, network.inputs().size());
  std::vector<Tensor> inputs;
  for (const ValueInfo& input : network.inputs()) {
    inputs.push_back(options.preprocessing.apply(load_array(options.input, input.name)));
  }
  return inputs;
}

void write_outputs(const Network& network, const std::vector<Tensor>& results, const std::string& path) {
  const FileKind kind = kind_of(path);
  if (kind == FileKind::npz) {
    NamedTensors arrays;
    for (std::size_t i = 0; i < results.size(); ++i)
      arrays.emplace_back(network.outputs()[i].name, results[i]);
    save_npz(arrays, path);
    return;
  }
  check(results.size() == 1, "{}: the network has {} outputs; expected a name that ends in .npz", path,
        results.size());
  if (kind == FileKind::png) {
    naming(path, [&] { save_png(to_image(results[0]), path); });
  } else {
    save_npy(results[0], path);
  }
}

void check_output_name(const std::string& path) {
  const FileKind kind = kind_of(path);
  if (path.empty() || kind == FileKind::npy || kind == FileKind::npz || kind == FileKind::png) return;
  throw UsageError(fmt::format("-o {}: expected a name that ends in .npy, .npz or .png", path));
}

// The median time of each layer over the runs, in the order of the layers.
std::vector<LayerTime> medians(const std::vector<std::vector<LayerTime>>& profiles) {
  std::vector<LayerTime> result = profiles.front();
  for (std::size_t layer = 0; layer < result.size(); ++layer) {
    std::vector<double> times;
    for (const auto& profile : profiles) times.push_back(profile[layer].microseconds);
    result[layer].microseconds = median(std::move(times));
  }
  return result;
}

Json profile_json(const std::vector<LayerTime>& profile, const std::vector<LayerInfo>& layers) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < profile.size(); ++i) {
    const LayerTime& time = profile[i];
    rows.push_back({{"layer", time.name},
                    {"op", time.op},
                    {"microseconds", time.microseconds},
                    {"kernel", i < layers.size() ? layers[i].kernel : std::string()}});
  }
  return rows;
}

void print_profile(const std::vector<LayerTime>& profile, const std::vector<LayerInfo>& layers) {
  double total = 0;
  for (const LayerTime& time : profile) total += time.microseconds;
  Table table({"layer", "op", "us", "share", "GOP/s", "kernel"});
  for (std::size_t i = 0; i < profile.size(); ++i) {
    const LayerTime& time = profile[i];
    const bool known = i < layers.size();
    const double operations = known ? 2.0 * static_cast<double>(layers[i].multiply_adds) : 0;
    table.add({time.name, time.op, fmt::format("{:.1f}", time.microseconds),
               fmt::format("{:.1f}%", total > 0 ? 100 * time.microseconds / total : 0),
               operations > 0 && time.microseconds > 0
                   ? fmt::format("{:.1f}", operations * 1e-3 / time.microseconds)
                   : "-",
               known && !layers[i].kernel.empty() ? layers[i].kernel : "-"});
  }
  table.print();
  write_out("total {}\n", human_time(total * 1e-6));
}

void report(const Options& options, const Network& network, const std::vector<Tensor>& inputs,
            const std::vector<Tensor>& results, const std::vector<std::vector<LayerTime>>& profiles,
            const Times& times) {
  std::vector<Shape> sizes;
  for (const Tensor& input : inputs) sizes.push_back(input.sizes());
  const std::vector<LayerInfo> layers = options.profile ? network.layers(sizes) : std::vector<LayerInfo>{};
  if (options.json) {
    Json json{{"network", options.network}, {"load_seconds", times.load}, {"first_seconds", times.first},
              {"seconds", times.median()},  {"min_seconds", times.min()}, {"outputs", Json::array()}};
    for (std::size_t i = 0; i < results.size(); ++i) {
      const TensorStats stats = stats_of(results[i]);
      json["outputs"].push_back({{"name", network.outputs()[i].name},
                                 {"sizes", results[i].sizes().vec()},
                                 {"min", stats.min},
                                 {"max", stats.max},
                                 {"mean", stats.mean}});
    }
    if (options.profile) json["profile"] = profile_json(medians(profiles), layers);
    write_json(json);
    return;
  }
  if (options.profile) print_profile(medians(profiles), layers);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const TensorStats stats = stats_of(results[i]);
    write_out("{}  {} {}, {:.5g} to {:.5g}, mean {:.5g}\n", network.outputs()[i].name,
              to_string(results[i].dtype()), sizes_text(results[i].sizes()), stats.min, stats.max,
              stats.mean);
  }
  write_out("{}{}\n", human_time(times.median()),
            options.repeat > 1 ? fmt::format(", the median of {} runs", options.repeat) : "");
  if (!options.output.empty()) write_out("wrote {}\n", options.output);
}

int run(const Options& options) {
  options.runtime.apply();
  check_output_name(options.output);
  if (!options.output.empty()) require_folder_for(options.output);
  Times times;
  std::optional<Network> loaded;
  times.load = seconds_of([&] { loaded = load_network(options.network, {.run_only = true}); });
  const Network& network = *loaded;
  const std::vector<Tensor> inputs = read_inputs(network, options);
  std::vector<Tensor> results;
  std::vector<std::vector<LayerTime>> profiles;
  // The first run also works out what depends on the sizes; it counts only when it is the only one.
  Progress progress("running", static_cast<std::size_t>(options.repeat));
  for (int i = options.repeat > 1 ? -1 : 0; i < options.repeat; ++i) {
    std::vector<LayerTime> profile;
    times.runs.push_back(seconds_of([&] {
      const RunOptions how{.tap = {}, .profile = options.profile ? &profile : nullptr};
      results = naming(options.network, [&] { return network.run(inputs, how); });
    }));
    profiles.push_back(std::move(profile));
    if (i >= 0) progress.step();
  }
  progress.clear();
  times.first = times.runs.front();
  if (options.repeat > 1) {
    times.runs.erase(times.runs.begin());
    profiles.erase(profiles.begin());
  }
  if (!options.output.empty()) write_outputs(network, results, options.output);
  report(options, network, inputs, results, profiles, times);
  return kOk;
}

}  // namespace

Action add_run(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("network", options->network, "The network")->required()->type_name("NETWORK.onnx");
  app.add_option("input", options->input,
                 "An image, .npy or .npz; of several inputs, an .npz with each by its name")
      ->required()
      ->type_name("INPUT");
  app.add_option("-o,--output", options->output,
                 "Where the result goes: .npy, .npz, or .png for an image in [0, 1]")
      ->type_name("FILE");
  app.add_option("--array", options->array, "Array of an .npz input (default: images, or the only one)")
      ->type_name("NAME");
  app.add_option("--repeat", options->repeat, "Run so many times, after one more, and report medians")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  app.add_flag("--profile", options->profile, "Show the time and the kernel of every layer");
  app.add_flag("--json", options->json, "Print JSON");
  options->preprocessing.add_to(app);
  options->runtime.add_to(app);
  app.footer(
      "Examples:\n"
      "  qconv run photo.int8.onnx low.png -o high.png\n"
      "  qconv run model.onnx input.npy -o output.npy --profile --repeat 20\n"
      "  qconv run model.onnx cat.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
