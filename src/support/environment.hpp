#pragma once

#include <optional>
#include <string>

namespace qconv {

/// The value of an environment variable; nothing when unset or empty.
std::optional<std::string> environment_text(const char* name);

/// The same as an integer in [lo, hi]; throws ValueError, naming the variable, for anything else.
std::optional<int> environment_number(const char* name, int lo, int hi);

}  // namespace qconv
