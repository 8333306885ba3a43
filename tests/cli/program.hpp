#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/scratch_folder.hpp"

namespace qconv::testing {

using testing_files::ScratchFolder;

/// What a run of the program left behind.
struct ProgramResult {
  int code;         ///< exit code, or -signal
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

/// Where the program's standard output goes.
enum class Stdout { captured, closed, full_disk };

/// A variable of the environment and its value.
using Variable = std::pair<std::string, std::string>;

/// Runs the built `qconv` with these arguments and waits for it. QCONV_NUM_THREADS is 1 unless it is set.
ProgramResult run_program(const std::vector<std::string>& arguments, Stdout where = Stdout::captured,
                          const std::vector<Variable>& environment = {});

/// The same for any command, found along PATH; its first word is the program. kQconv stands for the built
/// one.
ProgramResult run_command(const std::vector<std::string>& words, Stdout where = Stdout::captured,
                          const std::vector<Variable>& environment = {});
extern const std::string kQconv;

/// A file of the repository.
std::string repository_file(const std::string& name);

std::string read_text(const std::filesystem::path& path);
std::vector<std::string> lines_of(const std::string& text);

}  // namespace qconv::testing
