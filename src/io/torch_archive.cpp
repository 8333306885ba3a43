#include "io/torch_archive.hpp"

#include <algorithm>

#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kPickle = "data.pkl";
// A pickle is as long as the file at most, unless it is compressed.
constexpr std::uint64_t kFreePickleBytes = 16 << 20;
// What takes a value of its own in a pickle has two bytes at least; a value here takes some 70.
constexpr std::uint64_t kFreeValues = 256 << 10;
constexpr std::uint64_t kBytesPerValue = 2;
constexpr std::uint64_t kMostValues = 16 << 20;

class ZipStorages final : public TorchStorages {
 public:
  using Find = std::function<const ZipEntry*(const std::string& key)>;
  ZipStorages(const ZipArchive& archive, Find find, bool big_endian)
      : archive_(archive), find_(std::move(find)), big_endian_(big_endian) {}

  Tensor read(std::string_view key, std::uint64_t size) override {
    const ZipEntry* entry = find_(std::string(key));
    check<FileError>(entry != nullptr, "{}: has no storage {}", archive_.source().name(), printable(key));
    check<FileError>(entry->size == size, "{}: a storage of {} bytes is promised but it has {}", entry->who,
                     size, entry->size);
    Tensor bytes = Tensor::empty({static_cast<std::int64_t>(size)}, uint8);
    ZipArchive::Reader reader(archive_, *entry);
    reader.read({static_cast<std::byte*>(bytes.raw_mutable_data()), bytes.nbytes()});
    reader.finish();
    return bytes;
  }
  bool big_endian() const override { return big_endian_; }
  std::uint64_t most_bytes() const override { return most_unpacked_bytes(archive_.source().size()); }

 private:
  const ZipArchive& archive_;
  Find find_;
  bool big_endian_;
};

// A name that would leave the folder it is unpacked into. Nothing is unpacked here, but no honest file has
// it.
bool leaves_folder(std::string_view name) {
  if (name.starts_with('/') || name.find('\\') != std::string_view::npos) return true;
  return name == ".." || name.starts_with("../") || name.ends_with("/..") ||
         name.find("/../") != std::string_view::npos;
}

}  // namespace

std::size_t most_pickle_values(std::uint64_t file_size) {
  return static_cast<std::size_t>(std::min(kFreeValues + file_size / kBytesPerValue, kMostValues));
}

TorchArchive::TorchArchive(const ByteSource& source) : archive_(source) {
  const ZipEntry* pickle = nullptr;
  for (const ZipEntry& entry : archive_.entries()) {
    check<FileError>(!leaves_folder(entry.name), "{}: leaves its folder", entry.who);
    entries_.emplace(entry.name, &entry);
    const std::size_t slash = entry.name.find('/');
    const std::size_t inside = slash == std::string::npos ? 0 : slash + 1;
    if (entry.name.substr(inside) != kPickle) continue;
    check<FileError>(pickle == nullptr, "{}: there is a second {}", entry.who, kPickle);
    pickle = &entry;
    root_ = entry.name.substr(0, inside);
  }
  check<FileError>(pickle != nullptr,
                   "{}: is a zip archive without a {}, which torch.save and torch.jit.save write",
                   source.name(), kPickle);
  if (const ZipEntry* order = find("byteorder")) {
    const std::vector<std::byte> bytes = bytes_of(*order);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    check<FileError>(text == "little" || text == "big", "{}: is {}, expected little or big", order->who,
                     printable(text));
    big_endian_ = text == "big";
  }
}

const ZipEntry* TorchArchive::find(const std::string& inside) const {
  const auto found = entries_.find(root_ + inside);
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<std::byte> TorchArchive::bytes_of(const ZipEntry& entry) const {
  check<FileError>(entry.size <= kFreePickleBytes + archive_.source().size(),
                   "{}: has {} bytes, too many for an archive of {}", entry.who, entry.size,
                   archive_.source().size());
  std::vector<std::byte> bytes(static_cast<std::size_t>(entry.size));
  ZipArchive::Reader reader(archive_, entry);
  reader.read(bytes);
  reader.finish();
  return bytes;
}

void TorchArchive::read(const std::string& name, const std::vector<std::string>& safe_globals,
                        const Body& body) const {
  const ZipEntry* entry = find(name + ".pkl");
  check<FileError>(entry != nullptr, "{}: has no {}.pkl", archive_.source().name(), name);
  const std::vector<std::byte> bytes = bytes_of(*entry);
  ZipStorages storages(
      archive_, [&](const std::string& key) { return find(name + "/" + key); }, big_endian_);
  TorchTensors tensors(storages, safe_globals);
  Pickle pickle;
  pickle.bytes = bytes;
  pickle.who = entry->who;
  pickle.most_values = most_pickle_values(archive_.source().size());
  const std::size_t end = tensors.read(pickle);
  check<FileError>(end == bytes.size(), "{}: has {} bytes behind its end", entry->who, bytes.size() - end);
  body(pickle, tensors);
}

}  // namespace qconv
