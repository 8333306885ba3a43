#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <zip.h>

#include "io/byte_source.hpp"

namespace qconv {

struct DiscardArchive {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
struct FreeZipSource {
  void operator()(zip_source_t* source) const noexcept { zip_source_free(source); }
};
using ZipHandle = std::unique_ptr<zip_t, DiscardArchive>;
using ZipSource = std::unique_ptr<zip_source_t, FreeZipSource>;

/// libzip's error text, freed with the object.
struct ZipError {
  zip_error_t error{};
  ZipError() { zip_error_init(&error); }
  ~ZipError() { zip_error_fini(&error); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  const char* text() { return zip_error_strerror(&error); }
};

/// One entry of an archive as its directory describes it.
struct ZipEntry {
  zip_uint64_t index = 0;
  std::string name;
  std::string who;  ///< for messages: "FILE: entry 'NAME'"
  std::uint64_t size = 0;
};

/// A zip archive whose directory has been read and checked, and nothing unpacked. Entries are stored or
/// deflated, under names that differ. Against zip bombs: no entry may claim to expand more than deflate can
/// (1032 times), and all together no more than 256 MiB plus 100 times the size of the archive.
class ZipArchive {
 public:
  /// Throws FileError. `source` must outlive the archive.
  explicit ZipArchive(const ByteSource& source);
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  const ByteSource& source() const noexcept { return view_.source; }
  const std::vector<ZipEntry>& entries() const noexcept { return entries_; }

  /// The bytes of one entry, in order.
  class Reader {
   public:
    Reader(const ZipArchive& archive, const ZipEntry& entry);
    /// Fills the target; throws FileError when the entry is damaged or ends before that.
    void read(std::span<std::byte> target);
    /// Throws FileError unless all has been read and the checksum is right.
    void finish();

   private:
    std::size_t read_some(std::span<std::byte> target);

    struct CloseEntry {
      void operator()(zip_file_t* entry) const noexcept { zip_fclose(entry); }
    };
    std::unique_ptr<zip_file_t, CloseEntry> open_;
    const ZipEntry& entry_;
  };

 private:
  // A ByteSource as libzip wants one: a function that is told what to do next.
  struct View {
    const ByteSource& source;
    std::uint64_t position = 0;
    ZipError error;
  };
  static zip_int64_t command(View& view, void* data, zip_uint64_t length, zip_source_cmd_t what);
  static zip_int64_t callback(void* state, void* data, zip_uint64_t length, zip_source_cmd_t what);
  void open();
  void list_entries();

  View view_;
  ZipHandle handle_;
  std::vector<ZipEntry> entries_;
};

/// What the entries of one archive of `archive_bytes` may take when unpacked.
std::uint64_t most_unpacked_bytes(std::uint64_t archive_bytes);

}  // namespace qconv
