// The file of `qconv quantize --config`.
#include "cli/quantize_config.hpp"
#include "fuzz_util.hpp"
#include "support/scratch_folder.hpp"
#include "targets.hpp"

int fuzz_rules(const std::uint8_t* data, std::size_t size) {
  using namespace qconv::fuzzing;
  static const qconv::testing_files::ScratchFolder folder;
  const std::filesystem::path file = folder.write("rules.json", {reinterpret_cast<const char*>(data), size});
  std::vector<qconv::QuantizeRule> rules;
  if (!accepts([&] { rules = qconv::cli::read_rules(file, {}); })) return 0;
  for (const qconv::QuantizeRule& rule : rules) {
    require(rule.where.find('\n') == std::string::npos, "a rule whose place takes more than one line");
    if (rule.activation) require(rule.activation() != nullptr, "a rule that makes no observer");
  }
  return 0;
}
