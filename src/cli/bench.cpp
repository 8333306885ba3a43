#include <algorithm>
#include <filesystem>
#include <memory>

#include <qconv/cpu.hpp>
#include <qconv/error.hpp>
#include <qconv/threads.hpp>

#include "cli/command.hpp"
#include "cli/conv_bench.hpp"
#include "cli/layer_list.hpp"
#include "cli/network_bench.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/runtime_options.hpp"
#include "cli/timing.hpp"
#include "support/thread_pool.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  std::vector<std::string> networks;
  std::string input_size;
  std::string layers;
  std::vector<std::string> problems;
  std::string filter;
  bool json = false;
  bool explain = false;
};

struct Result {
  std::string engine;
  std::string isa;
  int threads;
  std::string name;
  std::string kernel;
  Timing timing;
  double gops;
  std::string plan;  // what the engine decided; empty for the layers of a network
};

std::vector<NamedProblem> problems_of(const Options& options) {
  std::vector<NamedProblem> problems;
  if (!options.layers.empty()) problems = read_layers(options.layers);
  for (const std::string& line : options.problems) {
    ConvProblem problem;
    try {
      problem = ConvProblem::parse(line);
    } catch (const Error& error) {
      throw UsageError(fmt::format("--problem: {}", error.what()));
    }
    problems.push_back({problem.to_string(), problem});
  }
  if (problems.empty() && options.networks.empty()) {
    throw UsageError(
        "nothing to time: give NETWORK.onnx, --layers FILE.csv or --problem \"conv2d c64 k64 i56x56 f3x3 "
        "p1x1\"");
  }
  std::erase_if(problems,
                [&](const NamedProblem& p) { return p.name.find(options.filter) == std::string::npos; });
  if (problems.empty() && options.networks.empty()) {
    throw UsageError(fmt::format("--filter {}: no layer has that in its name", options.filter));
  }
  return problems;
}

double gops(std::int64_t multiply_adds, const Timing& timing) {
  return 2e-3 * static_cast<double>(multiply_adds) / timing.min_us;
}

// The reference engine is plain loops whatever the processor has; float layers choose for themselves.
std::string isa_of(std::string_view engine) {
  if (engine == "native") return std::string(to_string(active_isa()));
  return engine == "reference" ? "scalar" : "-";
}

Result time_problem(const NamedProblem& named, const RuntimeOptions& runtime) {
  ConvBench bench(named.problem, runtime.engine);
  const auto pool = current_pool();
  const Timing timing = time_calls([&] { bench.run(*pool); });
  return {std::string(bench.engine()),
          isa_of(bench.engine()),
          pool->num_threads(),
          named.name,
          bench.kernel(),
          timing,
          gops(named.problem.multiply_adds(), timing),
          bench.explain()};
}

std::vector<Result> time_layers(const std::string& file, const Options& options) {
  const Network network = load_network(file, {.run_only = true});
  const std::vector<Shape> sizes = bench_sizes(network, file, options.input_size);
  const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  std::vector<Result> results;
  for (const LayerTiming& layer : time_network(network, sizes)) {
    std::string name = fmt::format("{}:{}", std::filesystem::path(file).filename().string(), layer.name);
    std::replace(name.begin(), name.end(), ',', ';');  // a comma would be another column
    if (name.find(options.filter) == std::string::npos) continue;
    results.push_back({or_dash(layer.engine), isa_of(layer.engine), get_num_threads(), name,
                       or_dash(layer.kernel), layer.timing, gops(layer.multiply_adds, layer.timing), ""});
  }
  return results;
}

void print_csv(const Result& r, bool explain) {
  if (explain && !r.plan.empty()) write_out("# {}: {}\n", r.name, r.plan);
  write_out("{},{},{},{},{},{:.2f},{:.2f},{:.1f}\n", r.engine, r.isa, r.threads, r.name, r.kernel,
            r.timing.median_us, r.timing.min_us, r.gops);
}

Json to_json(const Result& r, bool explain) {
  Json row = {{"engine", r.engine},        {"isa", r.isa},
              {"threads", r.threads},      {"name", r.name},
              {"kernel", r.kernel},        {"median_us", r.timing.median_us},
              {"min_us", r.timing.min_us}, {"gops", r.gops}};
  if (explain) row["plan"] = r.plan;
  return row;
}

int run(const Options& options) {
  options.runtime.apply();
  const std::vector<NamedProblem> problems = problems_of(options);
  Progress progress("timing", problems.size() + options.networks.size());
  Json rows = Json::array();
  const auto add = [&](const Result& result) {
    if (options.json) {
      rows.push_back(to_json(result, options.explain));
      return;
    }
    progress.clear();
    print_csv(result, options.explain);
    flush_output();
  };
  if (!options.json) write_out("engine,isa,threads,name,kernel,median_us,min_us,gops\n");
  for (const NamedProblem& problem : problems) {
    progress.rename(problem.name);
    add(time_problem(problem, options.runtime));
    progress.step();
  }
  for (const std::string& file : options.networks) {
    progress.rename(file);
    for (const Result& result : time_layers(file, options)) add(result);
    progress.step();
  }
  progress.clear();
  if (options.json) write_json(rows);
  return kOk;
}

}  // namespace

Action add_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("networks", options->networks, "Networks to time layer by layer")->type_name("NETWORK.onnx");
  app.add_option("--input-size", options->input_size, "Sizes of the networks' inputs, as in 1x3x224x224")
      ->type_name("SIZES");
  app.add_option("--layers", options->layers, "List of layers to time, in the format of bench/layers.csv")
      ->type_name("FILE.csv");
  app.add_option("--problem", options->problems,
                 "One convolution, as errors and tests write it; may be repeated")
      ->type_name("LINE")
      ->allow_extra_args(false);
  app.add_option("--filter", options->filter, "Only layers with this text in their name")->type_name("TEXT");
  app.add_flag("--json", options->json, "Print a JSON array instead of CSV");
  app.add_flag("--explain", options->explain,
               "Also say what each plan decided, in a line with '#' in front (in JSON: \"plan\")");
  options->runtime.add_to(app);
  app.footer(
      "Times int8 convolutions: weights packed and plans prepared beforehand, channels-last in and out,\n"
      "5 repeats of at least 50 ms. median_us and min_us are over the repeats' mean times; gops counts\n"
      "2 x dense multiply-adds and min_us.\n\n"
      "Of a network, every layer is a row, and 'total' is a whole run on random data; float layers too, so\n"
      "that a float network and its int8 version can be set side by side.\n\n"
      "Examples:\n"
      "  qconv bench --layers bench/layers.csv --threads 1\n"
      "  qconv bench --layers bench/layers.csv --threads 4 --filter rn50 --isa avx2\n"
      "  qconv bench --problem 'conv2d n1 c64 k64 i56x56 f3x3 p1x1' --json\n"
      "  qconv bench model.onnx model.int8.onnx --input-size 1x3x224x224 --threads 1");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
