#include "cli/program.hpp"

#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qconv::testing {
namespace {

// In the child: standard output and error go where they should.
void redirect(const std::string& out, const std::string& err, Stdout where) {
  const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(err_fd, STDERR_FILENO);
  if (where == Stdout::closed) {
    close(STDOUT_FILENO);
  } else {
    const char* target = where == Stdout::full_disk ? "/dev/full" : out.c_str();
    dup2(open(target, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
  }
}

}  // namespace

const std::string kQconv = QCONV_CLI_PATH;

ProgramResult run_program(const std::vector<std::string>& arguments, Stdout where,
                          const std::vector<Variable>& environment) {
  std::vector<std::string> words{QCONV_CLI_PATH};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_command(words, where, environment);
}

ProgramResult run_command(const std::vector<std::string>& words, Stdout where,
                          const std::vector<Variable>& environment) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out");
  const std::string err = scratch.file("err");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    redirect(out, err, where);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    setenv("QCONV_NUM_THREADS", "1", 0);  // tests run side by side; --threads still decides
    execvp(argv[0], const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::system_error(errno, std::generic_category(), "waitpid");
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return {code, where == Stdout::captured ? read_text(out) : std::string(), read_text(err)};
}

std::string repository_file(const std::string& name) { return std::string(QCONV_REPOSITORY) + "/" + name; }

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace qconv::testing
