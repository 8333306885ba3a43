#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include <qconv/qconv.hpp>

namespace qconv::fuzzing {

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

/// Ends the program, which is how a fuzz target reports a finding, unless `ok`.
inline void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "fuzz target: %s\n", what);
  std::abort();
}

/// Reads every element, so that memory that a reader left out of bounds is found.
inline void touch(const Tensor& tensor) {
  if (tensor.defined()) require(equal(tensor, tensor.clone()), "a tensor differs from its copy");
}

/// Runs a reader: true when it accepted the input, false when it refused it as it should, in one line.
template <class Body>
bool accepts(const Body& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos,
            "an error of more than one line");
    return false;
  }
}

}  // namespace qconv::fuzzing
