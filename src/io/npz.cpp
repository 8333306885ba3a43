// .npz: a zip archive of .npy files, as numpy.savez writes it.
#include <algorithm>
#include <memory>
#include <set>

#include <zip.h>

#include <qconv/io.hpp>

#include "io/atomic_file.hpp"
#include "io/byte_source.hpp"
#include "io/io_error.hpp"
#include "io/npy.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// Deflate codes at most 258 bytes in 2 bits; zlib documents the limit as 1032 to 1.
constexpr std::uint64_t kMostExpansion = 1032;
// What all arrays of one archive may take: see <qconv/io.hpp>.
constexpr std::uint64_t kFreeBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kBytesPerArchiveByte = 100;
constexpr std::string_view kSuffix = ".npy";

struct DiscardArchive {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const noexcept { zip_fclose(entry); }
};
struct FreeSource {
  void operator()(zip_source_t* source) const noexcept { zip_source_free(source); }
};
using Archive = std::unique_ptr<zip_t, DiscardArchive>;
using OpenEntry = std::unique_ptr<zip_file_t, CloseEntry>;
using Source = std::unique_ptr<zip_source_t, FreeSource>;

// libzip's error text, freed with the object.
struct ZipError {
  zip_error_t error{};
  ZipError() { zip_error_init(&error); }
  ~ZipError() { zip_error_fini(&error); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  const char* text() { return zip_error_strerror(&error); }
};

// A ByteSource as libzip wants one: a function that is told what to do next.
struct ZipView {
  const ByteSource& source;
  std::uint64_t position = 0;
  ZipError error;
};

zip_int64_t view_command(ZipView& view, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  switch (command) {
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
zip_int64_t view_callback(void* state, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  ZipView& view = *static_cast<ZipView*>(state);
  try {
    return view_command(view, data, length, command);
  } catch (...) {
    zip_error_set(&view.error.error, ZIP_ER_READ, 0);
    return -1;
  }
}

Archive open_archive(ZipView& view) {
  // libzip takes a file of no bytes for an archive of no entries.
  check<FileError>(view.source.size() > 0, "{}: is not a readable zip archive: it is empty",
                   view.source.name());
  ZipError error;
  Source source(zip_source_function_create(view_callback, &view, &error.error));
  check<FileError>(source != nullptr, "{}: cannot open: {}", view.source.name(), error.text());
  Archive archive(zip_open_from_source(source.get(), ZIP_RDONLY, &error.error));
  check<FileError>(archive != nullptr, "{}: is not a readable zip archive: {}", view.source.name(),
                   error.text());
  source.release();  // NOLINT(bugprone-unused-return-value): the archive owns it now
  return archive;
}

// One entry of the archive as its directory describes it.
struct Entry {
  zip_uint64_t index;
  std::string name;  // without ".npy"
  std::string who;   // for messages
  std::uint64_t size;
};

// Reads and checks the whole directory before anything is unpacked.
std::vector<Entry> list_entries(zip_t* archive, const ByteSource& file) {
  std::vector<Entry> entries;
  std::set<std::string> names;
  std::uint64_t compressed = 0;
  std::uint64_t promised = 0;
  const std::uint64_t most = kFreeBytes + kBytesPerArchiveByte * file.size();
  const auto count = static_cast<zip_uint64_t>(std::max<zip_int64_t>(zip_get_num_entries(archive, 0), 0));
  for (zip_uint64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    const bool known =
        zip_stat_index(archive, i, ZIP_FL_ENC_RAW, &stat) == 0 && (stat.valid & kNeeded) == kNeeded;
    check<FileError>(known, "{}: entry {} of the archive cannot be read", file.name(), i);
    const std::string_view name = stat.name;
    const std::string who = fmt::format("{}: entry {}", file.name(), printable(name));
    check<FileError>(name.ends_with(kSuffix), "{}: is not a .npy array", who);
    check<FileError>(names.emplace(name).second, "{}: is there twice", who);
    check<FileError>(stat.comp_method == ZIP_CM_STORE || stat.comp_method == ZIP_CM_DEFLATE,
                     "{}: compression method {} is not supported, expected stored or deflated", who,
                     stat.comp_method);
    check<FileError>(stat.comp_size <= file.size() - compressed,
                     "{}: {} compressed bytes are promised but the archive has {} in all", who,
                     stat.comp_size, file.size());
    compressed += stat.comp_size;
    const bool possible = stat.comp_method == ZIP_CM_STORE ? stat.size == stat.comp_size
                                                           : stat.size / kMostExpansion <= stat.comp_size;
    check<FileError>(possible, "{}: {} bytes cannot come from {} compressed ones", who, stat.size,
                     stat.comp_size);
    check<FileError>(stat.size <= most - promised,
                     "{}: the arrays of this archive take more than {} bytes, the limit for an archive of {}",
                     who, most, file.size());
    promised += stat.size;
    entries.push_back({i, std::string(name.substr(0, name.size() - kSuffix.size())), who, stat.size});
  }
  return entries;
}

Tensor read_entry(zip_t* archive, const Entry& entry) {
  const OpenEntry open(zip_fopen_index(archive, entry.index, 0));
  check<FileError>(open != nullptr, "{}: cannot be unpacked: {}", entry.who, zip_strerror(archive));
  const auto read_some = [&](std::span<std::byte> target) {
    const zip_int64_t n = zip_fread(open.get(), target.data(), target.size());
    check<FileError>(n >= 0, "{}: is damaged: {}", entry.who, zip_file_strerror(open.get()));
    return static_cast<std::size_t>(n);
  };
  const ReadNext next = [&](std::span<std::byte> target) {
    while (!target.empty()) {
      const std::size_t n = read_some(target);
      check<FileError>(n > 0, "{}: ends too early; it is truncated", entry.who);
      target = target.subspan(n);
    }
  };
  const NpyHeader header = read_npy_header(next, entry.who);
  check<FileError>(header.header_bytes <= entry.size && entry.size - header.header_bytes == header.data_bytes,
                   "{}: the array header promises {} bytes but the archive says that {} follow it", entry.who,
                   header.data_bytes, entry.size - std::min(entry.size, header.header_bytes));
  Tensor tensor = read_npy_data(header, next);
  // Reading on to the end makes libzip compare the checksum.
  std::byte beyond{};
  check<FileError>(read_some({&beyond, 1}) == 0, "{}: is longer than the archive says", entry.who);
  return tensor;
}

NamedTensors read_npz(const ByteSource& file) {
  ZipView view{file, 0, {}};
  const Archive archive = open_archive(view);
  NamedTensors result;
  for (const Entry& entry : list_entries(archive.get(), file)) {
    result.emplace_back(entry.name, read_entry(archive.get(), entry));
  }
  return result;
}

void check_arrays(const NamedTensors& arrays) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : arrays) {
    check(!name.empty(), "save_npz: an array needs a name");
    check(name.find('\0') == std::string::npos, "save_npz: the name {} holds a zero byte", printable(name));
    check(names.insert(name).second, "save_npz: two arrays are called {}", printable(name));
    check_npy_tensor(tensor, fmt::format("save_npz: array {}", printable(name)));
  }
}

[[noreturn]] void cannot_write(zip_t* archive) {
  throw FileError(fmt::format("save_npz: cannot make the archive: {}", zip_strerror(archive)));
}

void add_array(zip_t* archive, const std::string& name, const std::string& header, const Tensor& dense) {
  // libzip only reads through these pointers.
  zip_buffer_fragment_t parts[] = {
      {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(header.data())), header.size()},
      {static_cast<zip_uint8_t*>(const_cast<void*>(dense.raw_data())), dense.nbytes()}};
  Source source(zip_source_buffer_fragment(archive, parts, dense.nbytes() == 0 ? 1 : 2, 0));
  if (source == nullptr) cannot_write(archive);
  const zip_int64_t index =
      zip_file_add(archive, (name + std::string(kSuffix)).c_str(), source.get(), ZIP_FL_ENC_UTF_8);
  if (index < 0) cannot_write(archive);
  source.release();  // NOLINT(bugprone-unused-return-value): the archive owns it now
  const auto at = static_cast<zip_uint64_t>(index);
  // 1 January 1980, zip's first day: the same arrays make the same bytes.
  constexpr zip_uint16_t kFirstDay = (1 << 5) | 1;
  if (zip_set_file_compression(archive, at, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, at, 0, kFirstDay, 0) != 0) {
    cannot_write(archive);
  }
}

}  // namespace

NamedTensors load_npz(const std::filesystem::path& path) { return read_npz(FileSource(path)); }

NamedTensors decode_npz(std::span<const std::byte> bytes, std::string_view name) {
  return read_npz(MemorySource(bytes, name));
}

std::vector<std::byte> encode_npz(const NamedTensors& arrays) {
  check_arrays(arrays);
  // What libzip reads when it closes the archive must live until then.
  std::vector<std::pair<std::string, Tensor>> parts;
  for (const auto& [name, tensor] : arrays) {
    parts.emplace_back(npy_header_text(tensor.dtype(), tensor.sizes()), tensor.contiguous());
  }
  if (arrays.empty()) {
    // libzip writes no archive without entries; this is one: the end record alone.
    std::vector<std::byte> empty(22);
    const auto signature = std::as_bytes(std::span("PK\x05\x06", 4));
    std::copy(signature.begin(), signature.end(), empty.begin());
    return empty;
  }
  ZipError error;
  const Source buffer(zip_source_buffer_create(nullptr, 0, 0, &error.error));
  check<FileError>(buffer != nullptr, "save_npz: cannot make the archive: {}", error.text());
  Archive archive(zip_open_from_source(buffer.get(), ZIP_CREATE | ZIP_TRUNCATE, &error.error));
  check<FileError>(archive != nullptr, "save_npz: cannot make the archive: {}", error.text());
  zip_source_keep(buffer.get());  // once for the archive, once for us
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    add_array(archive.get(), arrays[i].first, parts[i].first, parts[i].second);
  }
  if (zip_close(archive.get()) != 0) cannot_write(archive.get());
  archive.release();  // NOLINT(bugprone-unused-return-value): closing freed it

  zip_stat_t stat;
  const bool open = zip_source_stat(buffer.get(), &stat) == 0 && zip_source_open(buffer.get()) == 0;
  check<FileError>(open, "save_npz: cannot read the archive back: {}",
                   zip_error_strerror(zip_source_error(buffer.get())));
  std::vector<std::byte> bytes(stat.size);
  const zip_int64_t n = zip_source_read(buffer.get(), bytes.data(), bytes.size());
  zip_source_close(buffer.get());
  check<FileError>(n == static_cast<zip_int64_t>(bytes.size()), "save_npz: cannot read the archive back");
  return bytes;
}

void save_npz(const NamedTensors& arrays, const std::filesystem::path& path) {
  check_arrays(arrays);
  save_bytes(encode_npz(arrays), path);
}

}  // namespace qconv
