#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include <qconv/qconv.hpp>

#include "io/allocation_probe.hpp"
#include "support/scratch_folder.hpp"

namespace qconv::testing_io {

namespace fs = std::filesystem;
using testing_files::ScratchFolder;

inline fs::path fixture(const std::string& name) {
  return fs::path(QCONV_TEST_DATA) / "io" / "fixtures" / name;
}

/// The array that make_fixtures.py calls ramp(dtype, *shape).
template <Element T>
Tensor ramp(const Shape& sizes) {
  Tensor t = Tensor::empty(sizes, dtype_of<T>);
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    const std::int64_t value = (7 * i) % 101 - (dtype_of<T> == uint8 ? 0 : 50);
    t.mutable_data<T>()[i] = static_cast<T>(value);
  }
  return t;
}

inline std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The checksum of zip and PNG.
inline std::uint32_t crc32(std::string_view text) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  return ~crc;
}

/// The message of the FileError that `body` throws; fails the test unless it throws one, unless the message
/// is one line, and unless it took no block of more than `most_bytes`.
template <class Body>
std::string file_error(const Body& body, std::size_t most_bytes = 1 << 20) {
  std::string message;
  const std::size_t largest = largest_allocation([&] {
    try {
      body();
      ADD_FAILURE() << "no FileError";
    } catch (const FileError& error) {
      message = error.what();
    }
  });
  EXPECT_LE(largest, most_bytes) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

}  // namespace qconv::testing_io
