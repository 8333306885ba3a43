#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace qconv::cli {

/// JSON that keeps the order in which keys were added.
using Json = nlohmann::ordered_json;

/// Prints to standard output. Throws std::system_error when that fails (a full disk, a closed stream).
template <class... Args>
void write_out(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stdout, format, std::forward<Args>(args)...);
}

/// Prints `value` indented by two spaces, one line per leaf.
void write_json(const Json& value);

/// Hands everything printed so far to the system; throws std::system_error when that fails.
void flush_output();

/// Text in columns, for people; numbers are aligned to the right, and a column of nothing but "-" is left
/// out.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  /// As many cells as the header has.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "1.2 MiB", "640 KiB", "17 bytes".
std::string human_bytes(double bytes);
/// "12.3 us", "4.56 ms", "1.20 s".
std::string human_time(double seconds);

}  // namespace qconv::cli
