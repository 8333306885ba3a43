// .npz: a zip archive of .npy files, as numpy.savez writes it.
#include <algorithm>
#include <set>

#include <qconv/io.hpp>

#include "io/atomic_file.hpp"
#include "io/byte_source.hpp"
#include "io/io_error.hpp"
#include "io/npy.hpp"
#include "io/zip_archive.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kSuffix = ".npy";

Tensor read_entry(const ZipArchive& archive, const ZipEntry& entry) {
  ZipArchive::Reader reader(archive, entry);
  const ReadNext next = [&](std::span<std::byte> target) { reader.read(target); };
  const NpyHeader header = read_npy_header(next, entry.who);
  check<FileError>(header.header_bytes <= entry.size && entry.size - header.header_bytes == header.data_bytes,
                   "{}: the array header promises {} bytes but the archive says that {} follow it", entry.who,
                   header.data_bytes, entry.size - std::min(entry.size, header.header_bytes));
  Tensor tensor = read_npy_data(header, next);
  reader.finish();
  return tensor;
}

NamedTensors read_npz(const ByteSource& file) {
  const ZipArchive archive(file);
  for (const ZipEntry& entry : archive.entries()) {
    check<FileError>(entry.name.ends_with(kSuffix), "{}: is not a .npy array", entry.who);
  }
  NamedTensors result;
  for (const ZipEntry& entry : archive.entries()) {
    result.emplace_back(entry.name.substr(0, entry.name.size() - kSuffix.size()), read_entry(archive, entry));
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
  ZipSource source(zip_source_buffer_fragment(archive, parts, dense.nbytes() == 0 ? 1 : 2, 0));
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
  const ZipSource buffer(zip_source_buffer_create(nullptr, 0, 0, &error.error));
  check<FileError>(buffer != nullptr, "save_npz: cannot make the archive: {}", error.text());
  ZipHandle archive(zip_open_from_source(buffer.get(), ZIP_CREATE | ZIP_TRUNCATE, &error.error));
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
