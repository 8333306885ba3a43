#include "nn/python_repr.hpp"

#include <fmt/ranges.h>

namespace qconv::nn {

std::string python_tuple(std::span<const std::int64_t> values) {
  return fmt::format("({}{})", fmt::join(values, ", "), values.size() == 1 ? "," : "");
}

std::string python_float(double value) {
  // fmt prints the same shortest digits, and switches to exponents where Python does; it only leaves out the
  // ".0" of whole numbers.
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

}  // namespace qconv::nn
