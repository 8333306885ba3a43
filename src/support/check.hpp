#pragma once

#include <fmt/format.h>

#include <qconv/error.hpp>
#include <qconv/shape.hpp>

namespace qconv {

/// Throws E (ValueError unless said otherwise) with a fmt-formatted message when `ok` is false.
template <class E = ValueError, class... Args>
inline void check(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) [[unlikely]] {
    throw E(fmt::format(message, std::forward<Args>(args)...));
  }
}

}  // namespace qconv

/// Sizes in messages: turned into text only when the message is needed, unlike Shape::to_string().
template <>
struct fmt::formatter<qconv::Shape> {
  constexpr const char* parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const qconv::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.to_string());
  }
};
