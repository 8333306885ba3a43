#include "io/zip_archive.hpp"

#include <algorithm>
#include <set>

#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// Deflate codes at most 258 bytes in 2 bits; zlib documents the limit as 1032 to 1.
constexpr std::uint64_t kMostExpansion = 1032;
constexpr std::uint64_t kFreeBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kBytesPerArchiveByte = 100;

}  // namespace

std::uint64_t most_unpacked_bytes(std::uint64_t archive_bytes) {
  return kFreeBytes + kBytesPerArchiveByte * archive_bytes;
}

ZipArchive::ZipArchive(const ByteSource& source) : view_{source, 0, {}} {
  open();
  list_entries();
}

zip_int64_t ZipArchive::command(View& view, void* data, zip_uint64_t length, zip_source_cmd_t what) {
  switch (what) {
    case ZIP_SOURCE_OPEN:
      view.position = 0;
      return 0;
    case ZIP_SOURCE_READ: {
      const std::uint64_t count = std::min(length, view.source.size() - view.position);
      view.source.read(view.position, {static_cast<std::byte*>(data), count});
      view.position += count;
      return static_cast<zip_int64_t>(count);
    }
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t to =
          zip_source_seek_compute_offset(view.position, view.source.size(), data, length, &view.error.error);
      if (to < 0) return -1;
      view.position = static_cast<std::uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(view.position);
    case ZIP_SOURCE_STAT: {
      auto* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->size = view.source.size();
      stat->valid = ZIP_STAT_SIZE;
      return sizeof(zip_stat_t);
    }
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&view.error.error, data, length);
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                            ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                            ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      zip_error_set(&view.error.error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

// libzip is C: nothing may be thrown through it.
zip_int64_t ZipArchive::callback(void* state, void* data, zip_uint64_t length, zip_source_cmd_t what) {
  View& view = *static_cast<View*>(state);
  try {
    return command(view, data, length, what);
  } catch (...) {
    zip_error_set(&view.error.error, ZIP_ER_READ, 0);
    return -1;
  }
}

void ZipArchive::open() {
  // libzip takes a file of no bytes for an archive of no entries.
  check<FileError>(source().size() > 0, "{}: is not a readable zip archive: it is empty", source().name());
  ZipError error;
  ZipSource raw(zip_source_function_create(callback, &view_, &error.error));
  check<FileError>(raw != nullptr, "{}: cannot open: {}", source().name(), error.text());
  handle_.reset(zip_open_from_source(raw.get(), ZIP_RDONLY, &error.error));
  check<FileError>(handle_ != nullptr, "{}: is not a readable zip archive: {}", source().name(),
                   error.text());
  raw.release();  // NOLINT(bugprone-unused-return-value): the archive owns it now
}

void ZipArchive::list_entries() {
  const std::uint64_t file_size = source().size();
  const std::uint64_t most = most_unpacked_bytes(file_size);
  std::set<std::string> names;
  std::uint64_t compressed = 0;
  std::uint64_t promised = 0;
  const auto count =
      static_cast<zip_uint64_t>(std::max<zip_int64_t>(zip_get_num_entries(handle_.get(), 0), 0));
  for (zip_uint64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    const bool known =
        zip_stat_index(handle_.get(), i, ZIP_FL_ENC_RAW, &stat) == 0 && (stat.valid & kNeeded) == kNeeded;
    check<FileError>(known, "{}: entry {} of the archive cannot be read", source().name(), i);
    const std::string who = fmt::format("{}: entry {}", source().name(), printable(stat.name));
    check<FileError>(names.emplace(stat.name).second, "{}: is there twice", who);
    check<FileError>(stat.comp_method == ZIP_CM_STORE || stat.comp_method == ZIP_CM_DEFLATE,
                     "{}: compression method {} is not supported, expected stored or deflated", who,
                     stat.comp_method);
    check<FileError>(stat.comp_size <= file_size - compressed,
                     "{}: {} compressed bytes are promised but the archive has {} in all", who,
                     stat.comp_size, file_size);
    compressed += stat.comp_size;
    const bool possible = stat.comp_method == ZIP_CM_STORE ? stat.size == stat.comp_size
                                                           : stat.size / kMostExpansion <= stat.comp_size;
    check<FileError>(possible, "{}: {} bytes cannot come from {} compressed ones", who, stat.size,
                     stat.comp_size);
    check<FileError>(
        stat.size <= most - promised,
        "{}: the entries of this archive take more than {} bytes, the limit for an archive of {}", who, most,
        file_size);
    promised += stat.size;
    entries_.push_back({i, stat.name, who, stat.size});
  }
}

ZipArchive::Reader::Reader(const ZipArchive& archive, const ZipEntry& entry)
    : open_(zip_fopen_index(archive.handle_.get(), entry.index, 0)), entry_(entry) {
  check<FileError>(open_ != nullptr, "{}: cannot be unpacked: {}", entry.who,
                   zip_strerror(archive.handle_.get()));
}

std::size_t ZipArchive::Reader::read_some(std::span<std::byte> target) {
  const zip_int64_t n = zip_fread(open_.get(), target.data(), target.size());
  check<FileError>(n >= 0, "{}: is damaged: {}", entry_.who, zip_file_strerror(open_.get()));
  return static_cast<std::size_t>(n);
}

void ZipArchive::Reader::read(std::span<std::byte> target) {
  while (!target.empty()) {
    const std::size_t n = read_some(target);
    check<FileError>(n > 0, "{}: ends too early; it is truncated", entry_.who);
    target = target.subspan(n);
  }
}

void ZipArchive::Reader::finish() {
  // Reading on to the end makes libzip compare the checksum.
  std::byte beyond{};
  check<FileError>(read_some({&beyond, 1}) == 0, "{}: is longer than the archive says", entry_.who);
}

}  // namespace qconv
