#include "cli/validators.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>

#include <fmt/format.h>

namespace qconv::cli {
namespace {

// Reads all of `text` as a number.
template <class T>
bool read(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && next == end;
}

}  // namespace

CLI::Validator positive_number() {
  return {[](std::string& text) {
            double value = 0;
            const bool fits = read(text, value) && value > 0 && std::isfinite(value);
            return fits ? std::string() : fmt::format("expected a number above 0, got {}", text);
          },
          "POSITIVE"};
}

CLI::Validator sample_count() {
  // CLI11 reads -1 as the largest unsigned number.
  return {[](std::string& text) {
            std::size_t value = 0;
            return read(text, value) ? std::string()
                                     : fmt::format("expected a whole number, 0 (all) or more, got {}", text);
          },
          ""};
}

}  // namespace qconv::cli
