#pragma once

#include <string>
#include <string_view>

namespace qconv {

/// "No such file or directory" for an errno.
std::string errno_text(int error);

/// Text from a file as an error message may show it: on one line, in quotes, at most `longest` characters,
/// and everything but printable ASCII escaped, so that a hostile name can neither forge lines nor drive a
/// terminal.
std::string printable(std::string_view text, std::size_t longest = 60);

}  // namespace qconv
