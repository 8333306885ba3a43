#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace qconv::nn {

/// The values as Python prints a tuple: "(3, 3)", "(3,)".
std::string python_tuple(std::span<const std::int64_t> values);

/// The shortest decimal number that reads back as `value`, as Python prints it: "0.1", "1.0", "1e-05".
std::string python_float(double value);

/// "True" or "False".
inline const char* python_bool(bool value) { return value ? "True" : "False"; }

}  // namespace qconv::nn
