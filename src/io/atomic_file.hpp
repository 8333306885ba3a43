#pragma once

#include <filesystem>
#include <string>

#include "io/byte_sink.hpp"

namespace qconv {

/// A file that appears, or replaces the old one, only when it is whole. The bytes go to ".NAME.PID-N.tmp" in
/// the same folder; commit() flushes them to the disk and renames. Destroyed without commit(), it removes the
/// temporary file, and the old file is as it was. A process killed in between leaves the temporary file
/// behind and the old one whole.
class AtomicFile final : public ByteSink {
 public:
  /// Follows a symbolic link. Throws FileError when the folder cannot be written or when there is something
  /// other than a regular file at `path`.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile() override;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  using ByteSink::write;
  /// Throws FileError, for example when the disk is full.
  void write(std::span<const std::byte> bytes) override;
  /// Throws FileError; the temporary file is then removed by the destructor.
  void commit();

 private:
  [[noreturn]] void fail(const char* what, int error) const;

  std::string name_;
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

/// Writes the bytes to the file, atomically.
void save_bytes(std::span<const std::byte> bytes, const std::filesystem::path& path);

}  // namespace qconv
