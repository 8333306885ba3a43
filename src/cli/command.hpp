#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace qconv::cli {

/// Exit codes of the program.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

/// What a verb does once the command line has been read; returns the exit code.
using Action = std::function<int()>;

/// A command line that cannot be meant; exit code kUsage.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One verb. `add` declares its options on `app` and returns what runs it.
struct Verb {
  const char* name;
  const char* summary;
  Action (*add)(CLI::App& app);
};

Action add_bench(CLI::App& app);
Action add_compare(CLI::App& app);
Action add_convert(CLI::App& app);
Action add_eval(CLI::App& app);
Action add_info(CLI::App& app);
Action add_inspect(CLI::App& app);
Action add_quantize(CLI::App& app);
Action add_run(CLI::App& app);

}  // namespace qconv::cli
