#pragma once

#include <fmt/format.h>

#include <qconv/error.hpp>

namespace qconv {

/// Throws E (ValueError unless said otherwise) with a fmt-formatted message when `ok` is false.
template <class E = ValueError, class... Args>
inline void check(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) [[unlikely]] {
    throw E(fmt::format(message, std::forward<Args>(args)...));
  }
}

}  // namespace qconv
