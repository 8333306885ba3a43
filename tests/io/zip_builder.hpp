#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/io_test_util.hpp"

namespace qconv::testing_io {

// A zip archive put together by hand, so that every field can lie.
struct ZipEntry {
  std::string name;
  std::string stored;        // as it lies in the archive
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint32_t size = 0;    // promised, uncompressed
  std::uint32_t crc = 0;
  std::uint32_t offset_of = UINT32_MAX;  // another entry's index: its bytes are shared

  static ZipEntry plain(const std::string& name, const std::string& data) {
    return {name, data, 0, static_cast<std::uint32_t>(data.size()), crc32(data), UINT32_MAX};
  }
  static ZipEntry deflated(const std::string& name, const std::string& data) {
    return {name, deflate_raw(data), 8, static_cast<std::uint32_t>(data.size()), crc32(data), UINT32_MAX};
  }
  // Deflate as "stored" blocks, which any reader unpacks: a flag, the length twice, the bytes.
  static std::string deflate_raw(const std::string& data) {
    std::string out;
    for (std::size_t at = 0; at == 0 || at < data.size(); at += 0xffff) {
      const std::string block = data.substr(at, 0xffff);
      const auto length = static_cast<std::uint16_t>(block.size());
      out += static_cast<char>(at + block.size() == data.size() ? 1 : 0);
      for (const unsigned n : {unsigned{length}, ~unsigned{length}}) {
        out += static_cast<char>(n & 0xff);
        out += static_cast<char>((n >> 8) & 0xff);
      }
      out += block;
    }
    return out;
  }
};

template <class T>
inline void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::string zip_of(const std::vector<ZipEntry>& entries) {
  std::string file;
  std::string directory;
  std::vector<std::uint32_t> offsets;
  const auto common = [](std::string& out, const ZipEntry& e) {
    put<std::uint16_t>(out, 20);  // version needed
    put<std::uint16_t>(out, 0);   // flags
    put<std::uint16_t>(out, e.method);
    put<std::uint32_t>(out, 0x00210000);  // time and date
    put<std::uint32_t>(out, e.crc);
    put<std::uint32_t>(out, static_cast<std::uint32_t>(e.stored.size()));
    put<std::uint32_t>(out, e.size);
    put<std::uint16_t>(out, static_cast<std::uint16_t>(e.name.size()));
    put<std::uint16_t>(out, 0);  // extra
  };
  for (const ZipEntry& e : entries) {
    if (e.offset_of != UINT32_MAX) {
      offsets.push_back(offsets[e.offset_of]);
    } else {
      offsets.push_back(static_cast<std::uint32_t>(file.size()));
      file += std::string("PK\x03\x04", 4);
      common(file, e);
      file += e.name + e.stored;
    }
    directory += std::string("PK\x01\x02\x14\x00", 6);
    common(directory, e);
    directory += std::string(10, '\0');  // comment, disk, attributes
    put<std::uint32_t>(directory, offsets.back());
    directory += e.name;
  }
  const auto start = static_cast<std::uint32_t>(file.size());
  file += directory + std::string("PK\x05\x06\0\0\0\0", 8);
  put<std::uint16_t>(file, static_cast<std::uint16_t>(entries.size()));
  put<std::uint16_t>(file, static_cast<std::uint16_t>(entries.size()));
  put<std::uint32_t>(file, static_cast<std::uint32_t>(directory.size()));
  put<std::uint32_t>(file, start);
  put<std::uint16_t>(file, 0);
  return file;
}

}  // namespace qconv::testing_io
