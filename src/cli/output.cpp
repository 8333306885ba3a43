#include "cli/output.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace qconv::cli {
namespace {

bool is_number(const std::string& cell) {
  return cell == "inf" || (!cell.empty() && cell.find_first_not_of("0123456789+-.e%xM") == std::string::npos);
}

}  // namespace

void write_json(const Json& value) {
  // Names from files may hold bytes that are not UTF-8.
  write_out("{}\n", value.dump(2, ' ', false, Json::error_handler_t::replace));
}

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot write to standard output");
  }
}

void Table::print() const {
  const std::size_t columns = rows_.front().size();
  std::vector<std::size_t> width(columns, 0);
  std::vector<bool> number(columns, rows_.size() > 1);
  std::vector<bool> used(columns, rows_.size() == 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string& cell = rows_[r][c];
      width[c] = std::max(width[c], cell.size());
      if (r == 0 || cell == "-") continue;
      used[c] = true;
      if (!is_number(cell)) number[c] = false;
    }
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      if (!used[c]) continue;
      line +=
          number[c] ? fmt::format("{:>{}}  ", row[c], width[c]) : fmt::format("{:<{}}  ", row[c], width[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    write_out("{}\n", line);
  }
}

std::string human_bytes(double bytes) {
  if (bytes < 1024) return fmt::format("{:.0f} bytes", bytes);
  const char* unit = "KiB";
  bytes /= 1024;
  for (const char* next : {"MiB", "GiB", "TiB"}) {
    if (bytes < 1024) break;
    bytes /= 1024;
    unit = next;
  }
  return fmt::format("{:.{}f} {}", bytes, bytes < 10 ? 1 : 0, unit);
}

std::string human_time(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.1f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.2f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

}  // namespace qconv::cli
