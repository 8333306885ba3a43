#include "cli/runtime_options.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <qconv/cpu.hpp>
#include <qconv/engine.hpp>
#include <qconv/threads.hpp>

#include "cli/command.hpp"

namespace qconv::cli {
namespace {

void check_isa(const std::string& name) {
  const std::vector<Isa> built = list_isas();
  const auto isa = parse_isa(name);
  if (!isa || std::find(built.begin(), built.end(), *isa) == built.end()) {
    std::vector<std::string_view> names;
    for (const Isa b : built) names.push_back(to_string(b));
    throw UsageError(fmt::format("--isa {}: not an instruction set of this build; there are {}", name,
                                 fmt::join(names, ", ")));
  }
  if (!supported(*isa)) throw UsageError(fmt::format("--isa {}: this processor does not have it", name));
}

void check_engine(const std::string& name) {
  const std::vector<std::string> names = list_engines();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw UsageError(
        fmt::format("--engine {}: not an engine of this build; there are {}", name, fmt::join(names, ", ")));
  }
}

}  // namespace

void RuntimeOptions::add_to(CLI::App& app) {
  app.add_option("--threads", threads, "Threads to run on (default: QCONV_NUM_THREADS, else every core)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->group("Where it runs");
  app.add_option("--isa", isa, "Instruction set of the kernels (default: QCONV_ISA, else the best there is)")
      ->type_name("NAME")
      ->group("Where it runs");
  app.add_option("--engine", engine, "Engine of quantized convolutions (default: QCONV_ENGINE, else native)")
      ->type_name("NAME")
      ->group("Where it runs");
}

void RuntimeOptions::apply() const {
  if (!isa.empty()) {
    check_isa(isa);
    setenv("QCONV_ISA", isa.c_str(), 1);
  }
  if (!engine.empty()) {
    check_engine(engine);
    setenv("QCONV_ENGINE", engine.c_str(), 1);
  }
  if (threads != 0) set_num_threads(threads);
  // A wrong name in the environment is an error of every run, not only of those that get to use it.
  active_isa();
  active_engine();
  get_num_threads();
}

}  // namespace qconv::cli
