#include <memory>

#include <qconv/cpu.hpp>
#include <qconv/error.hpp>
#include <qconv/threads.hpp>

#include "cli/command.hpp"
#include "cli/conv_bench.hpp"
#include "cli/layer_list.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/runtime_options.hpp"
#include "cli/timing.hpp"
#include "support/thread_pool.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  std::string layers;
  std::vector<std::string> problems;
  std::string filter;
  bool json = false;
};

struct Result {
  std::string engine;
  std::string isa;
  int threads;
  std::string name;
  std::string kernel;
  Timing timing;
  double gops;
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
  if (problems.empty()) {
    throw UsageError(
        "nothing to time: give --layers FILE.csv or --problem \"conv2d c64 k64 i56x56 f3x3 p1x1\"");
  }
  std::erase_if(problems,
                [&](const NamedProblem& p) { return p.name.find(options.filter) == std::string::npos; });
  if (problems.empty()) {
    throw UsageError(fmt::format("--filter {}: no layer has that in its name", options.filter));
  }
  return problems;
}

Result time_problem(const NamedProblem& named, const RuntimeOptions& runtime) {
  ConvBench bench(named.problem, runtime.engine);
  const auto pool = current_pool();
  const Timing timing = time_calls([&] { bench.run(*pool); });
  const double gops = 2e-3 * static_cast<double>(named.problem.multiply_adds()) / timing.min_us;
  // The reference engine is plain loops whatever the processor has.
  const Isa isa = bench.engine() == "reference" ? Isa::scalar : active_isa();
  return {std::string(bench.engine()),
          std::string(to_string(isa)),
          pool->num_threads(),
          named.name,
          bench.kernel(),
          timing,
          gops};
}

void print_csv(const Result& r) {
  write_out("{},{},{},{},{},{:.2f},{:.2f},{:.1f}\n", r.engine, r.isa, r.threads, r.name, r.kernel,
            r.timing.median_us, r.timing.min_us, r.gops);
}

Json to_json(const Result& r) {
  return {{"engine", r.engine},        {"isa", r.isa},
          {"threads", r.threads},      {"name", r.name},
          {"kernel", r.kernel},        {"median_us", r.timing.median_us},
          {"min_us", r.timing.min_us}, {"gops", r.gops}};
}

int run(const Options& options) {
  options.runtime.apply();
  const std::vector<NamedProblem> problems = problems_of(options);
  Progress progress("timing", problems.size());
  Json results = Json::array();
  if (!options.json) write_out("engine,isa,threads,name,kernel,median_us,min_us,gops\n");
  for (const NamedProblem& problem : problems) {
    progress.rename(problem.name);
    const Result result = time_problem(problem, options.runtime);
    progress.clear();
    if (options.json) {
      results.push_back(to_json(result));
    } else {
      print_csv(result);
      flush_output();
    }
    progress.step();
  }
  progress.clear();
  if (options.json) write_json(results);
  return kOk;
}

}  // namespace

Action add_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--layers", options->layers, "List of layers to time, in the format of bench/layers.csv")
      ->type_name("FILE.csv");
  app.add_option("--problem", options->problems,
                 "One convolution, as errors and tests write it; may be repeated")
      ->type_name("LINE")
      ->allow_extra_args(false);
  app.add_option("--filter", options->filter, "Only layers with this text in their name")->type_name("TEXT");
  app.add_flag("--json", options->json, "Print a JSON array instead of CSV");
  options->runtime.add_to(app);
  app.footer(
      "Times int8 convolutions: weights packed and plans prepared beforehand, channels-last in and out,\n"
      "5 repeats of at least 50 ms. median_us and min_us are over the repeats' mean times; gops counts\n"
      "2 x dense multiply-adds and min_us.\n\n"
      "Examples:\n"
      "  qconv bench --layers bench/layers.csv --threads 1\n"
      "  qconv bench --layers bench/layers.csv --threads 4 --filter rn50 --isa avx2\n"
      "  qconv bench --problem 'conv2d n1 c64 k64 i56x56 f3x3 p1x1' --json");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
