#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <qconv/error.hpp>
#include <qconv/version.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/ranks.hpp"

namespace qconv::cli {
namespace {

constexpr std::array kVerbs{
    Verb{"info", "Show the version, processor, engines and kernels", &add_info},
    Verb{"inspect", "Show what a file holds: a network's layers, tensors, an image", &add_inspect},
    Verb{"quantize", "Make an int8 network of a float one", &add_quantize},
    Verb{"run", "Run a network", &add_run},
    Verb{"eval", "Judge networks: top-1 and top-5, or PSNR, and their speed", &add_eval},
    Verb{"compare", "Set int8 against float, layer by layer", &add_compare},
    Verb{"bench", "Time convolutions", &add_bench},
    Verb{"convert", "Write the tensors of a file as another kind of file", &add_convert},
};

// A program started with closed standard streams would otherwise print into the first file that it opens.
void open_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) == -1) {
      // Opened the wrong way round, so that using the stream is still an error.
      const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
      if (opened != fd && opened >= 0) close(opened);
    }
  }
}

// What ranks other than the root print goes nowhere.
void silence() {
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  close(nowhere);
}

// Prints "qconv VERB: MESSAGE" as one line, whatever the message holds.
void fail(std::string_view verb, std::string_view message) {
  std::string line =
      verb.empty() ? fmt::format("qconv: {}", message) : fmt::format("qconv {}: {}", verb, message);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, ' ');
  line += '\n';
  std::fflush(stdout);
  std::fputs(line.c_str(), stderr);
}

std::string verb_names() {
  std::vector<std::string_view> names;
  for (const Verb& verb : kVerbs) names.emplace_back(verb.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

bool is_verb(std::string_view name) {
  return std::any_of(kVerbs.begin(), kVerbs.end(), [&](const Verb& verb) { return name == verb.name; });
}

// The verb on the command line, or an empty text.
std::string_view verb_of(int argc, char** argv) {
  return argc > 1 && is_verb(argv[1]) ? std::string_view(argv[1]) : std::string_view();
}

// Runs what the command line asks for; every failure is an exception.
int dispatch(int argc, char** argv) {
  CLI::App app("Quantized (int8) convolution networks: quantize, run, measure.", "qconv");
  app.set_version_flag("--version", fmt::format("qconv {}", version()));
  app.require_subcommand(1);
  app.footer("'qconv VERB --help' shows what a verb takes, with examples.");
  int code = kOk;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    sub->callback([&code, action = verb.add(*sub)] { code = action(); });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    write_out("{}", app.help());  // of the verb, when one was given
  } catch (const CLI::CallForVersion& version_text) {
    write_out("{}\n", version_text.what());
  }
  flush_output();
  return code;
}

// The verbs that share their work among ranks.
bool takes_ranks(std::string_view verb) { return verb == "quantize" || verb == "eval"; }

Outcome attempt(int argc, char** argv, std::string_view verb) {
  const std::string help = verb.empty() ? "'qconv --help'" : fmt::format("'qconv {} --help'", verb);
  if (argc < 2) return {kUsage, fmt::format("no verb given; there are {} (see {})", verb_names(), help)};
  if (verb.empty() && argv[1][0] != '-') {
    return {kUsage, fmt::format("no verb '{}'; there are {} (see {})", argv[1], verb_names(), help)};
  }
  try {
    if (takes_ranks(verb)) join_ranks();
    if (!ranks().root()) silence();
    return {dispatch(argc, argv), {}};
  } catch (const CLI::ParseError& error) {
    return {kUsage, fmt::format("{} (see {})", error.what(), help)};
  } catch (const UsageError& error) {
    return {kUsage, fmt::format("{} (see {})", error.what(), help)};
  } catch (const std::bad_alloc&) {
    return {kFailed, "out of memory"};
  } catch (const std::exception& error) {
    return {kFailed, error.what()};
  }
}

int run(int argc, char** argv) {
  const std::string_view verb = verb_of(argc, argv);
  const Outcome mine = attempt(argc, argv, verb);  // which may join other ranks: ranks() comes after it
  const Outcome outcome = ranks().settle(mine);
  if (outcome.code != kOk && ranks().root()) fail(verb, outcome.message);
  ranks().leave();
  return outcome.code;
}

}  // namespace
}  // namespace qconv::cli

int main(int argc, char** argv) {
  qconv::cli::open_standard_streams();
  return qconv::cli::run(argc, argv);
}
