#include "io/io_error.hpp"

#include <system_error>

#include <fmt/format.h>

namespace qconv {

std::string errno_text(int error) { return std::generic_category().message(error); }

std::string printable(std::string_view text, std::size_t longest) {
  std::string result = "'";
  for (const char c : text.substr(0, longest)) {
    if (c >= 0x20 && c < 0x7f) {
      result += c;
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return result + (text.size() > longest ? "...'" : "'");
}

}  // namespace qconv
