#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "io/byte_sink.hpp"

namespace qconv {

/// Writes a zip archive of stored entries as PyTorch does: every payload at a multiple of 64 bytes behind an
/// extra field "FB" of filler, its sizes and checksum in a descriptor behind it, no dates. (libzip cannot put
/// payloads where they are wanted.)
class AlignedZipWriter {
 public:
  explicit AlignedZipWriter(ByteSink& sink) : sink_(sink) {}

  /// Throws ValueError, in the name of `who`, when the archive would grow past 4 GiB.
  void add(std::string_view name, std::span<const std::byte> bytes, std::string_view who);
  void add(std::string_view name, std::string_view text, std::string_view who) {
    add(name, std::as_bytes(std::span(text)), who);
  }
  /// The directory. Nothing may be added after it.
  void finish();

 private:
  void write(const std::string& bytes);

  ByteSink& sink_;
  std::uint64_t at_ = 0;
  std::string directory_;
  std::uint32_t count_ = 0;
};

}  // namespace qconv
