#pragma once

#include <concepts>

#include <fmt/format.h>

#include <qconv/error.hpp>
#include <qconv/shape.hpp>

namespace qconv {

class Tensor;

/// Throws E (ValueError unless said otherwise) with a fmt-formatted message when `ok` is false.
template <class E = ValueError, class... Args>
inline void check(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) [[unlikely]] {
    throw E(fmt::format(message, std::forward<Args>(args)...));
  }
}

}  // namespace qconv

/// Sizes and tensors in messages: turned into text only when the message is needed, unlike to_string(). Most
/// checks pass, and many on every call of an operator.
template <>
struct fmt::formatter<qconv::Shape> {
  constexpr const char* parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const qconv::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.to_string());
  }
};
template <class T>
requires std::same_as<T, qconv::Tensor>
struct fmt::formatter<T> {
  constexpr const char* parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const T& tensor, Context& context) const {
    return fmt::format_to(context.out(), "{}", tensor.to_string());
  }
};
