#include "support/environment.hpp"

#include <charconv>
#include <cstdlib>

#include "support/check.hpp"

namespace qconv {

std::optional<std::string> environment_text(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<int> environment_number(const char* name, int lo, int hi) {
  const auto text = environment_text(name);
  if (!text) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  check(error == std::errc() && end == text->data() + text->size() && value >= lo && value <= hi,
        "{}='{}' is not a number from {} to {}", name, *text, lo, hi);
  return value;
}

}  // namespace qconv
