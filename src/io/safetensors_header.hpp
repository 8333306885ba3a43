#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <qconv/io.hpp>

#include "io/byte_source.hpp"

namespace qconv {

/// The largest JSON header, as in the format's own library.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// One tensor of the file: its bytes are [begin, end) after the header.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::float32;
  Shape sizes;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  ///< in the order of the header
  Metadata metadata;
  std::uint64_t data_start = 0;  ///< where the bytes of the tensors begin in the file
};

/// Reads and checks the header: 8 bytes of length, JSON without repeated keys or unknown fields, sizes that
/// agree with dtypes and byte ranges, and ranges that cover the rest of the file without holes or overlaps.
/// Throws FileError. Takes memory in proportion to the header only.
SafetensorsHeader read_safetensors_header(const ByteSource& source);

/// "F32" and so on: the name of a plain dtype in the format.
std::string_view safetensors_name(DType dtype) noexcept;

}  // namespace qconv
