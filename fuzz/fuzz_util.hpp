#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <qconv/qconv.hpp>

namespace qconv::fuzzing {

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

/// Ends the program, which is how a fuzz target reports a finding, unless `ok`.
inline void require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "fuzz target: %s\n", what.c_str());
  std::abort();
}

/// Reads every element, so that memory that a reader left out of bounds is found.
inline void touch(const Tensor& tensor) {
  if (tensor.defined()) require(equal(tensor, tensor.clone()), "a tensor differs from its copy");
}

/// Runs a reader: nothing when it accepted the input, the one line with which it refused it otherwise.
template <class Body>
std::optional<std::string> refusal(const Body& body) {
  try {
    body();
    return std::nullopt;
  } catch (const Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos,
            "an error of more than one line");
    return error.what();
  }
}

template <class Body>
bool accepts(const Body& body) {
  return !refusal(body);
}

}  // namespace qconv::fuzzing
