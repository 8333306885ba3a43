#include <fmt/ranges.h>

#include <qconv/nn/module.hpp>

namespace qconv::nn {

std::string LoadResult::to_string() const {
  std::string text;
  const auto add = [&](std::string_view title, const std::vector<std::string>& items,
                       std::string_view separator) {
    if (items.empty()) return;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", title, fmt::join(items, separator));
  };
  add("missing keys", missing_keys, ", ");
  add("unexpected keys", unexpected_keys, ", ");
  add("unusable entries", mismatched, ", ");
  return text;
}

StateDict Module::state_dict(std::string_view prefix) const {
  StateDict state;
  save(state, std::string(prefix));
  return state;
}

LoadResult Module::load_state_dict(const StateDict& state, std::string_view prefix, bool strict) {
  return load(state, std::string(prefix), strict);
}

}  // namespace qconv::nn
