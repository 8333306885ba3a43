#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qconv {

// Every format here stores little-endian numbers, which are read straight into memory.
static_assert(std::endian::native == std::endian::little,
              "qconv reads and writes files on little-endian machines");

/// Random access to the bytes of a file or of memory, under the name that errors call it by.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::uint64_t size() const noexcept { return size_; }
  /// Fills `target` from `offset`; throws FileError when the bytes are not there.
  void read(std::uint64_t offset, std::span<std::byte> target) const;

 protected:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}
  void set_size(std::uint64_t size) noexcept { size_ = size; }

 private:
  virtual void read_inside(std::uint64_t offset, std::span<std::byte> target) const = 0;

  std::string name_;
  std::uint64_t size_ = 0;
};

/// Memory that outlives the source.
class MemorySource final : public ByteSource {
 public:
  MemorySource(std::span<const std::byte> bytes, std::string_view name);

 private:
  void read_inside(std::uint64_t offset, std::span<std::byte> target) const override;

  std::span<const std::byte> bytes_;
};

/// A regular file, held open. Throws FileError when it cannot be opened or is something else.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::filesystem::path& path);
  ~FileSource() override;

 private:
  void read_inside(std::uint64_t offset, std::span<std::byte> target) const override;

  int fd_ = -1;
};

}  // namespace qconv
