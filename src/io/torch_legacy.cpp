// torch.save before 1.6: the pickles of a magic number, a version, the system and the object, then one of the
// storages' keys, and then every storage as its number of elements and its bytes.
#include <algorithm>
#include <cstring>

#include "io/io_error.hpp"
#include "io/torch_archive.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// The number 0x1950a86a20f9469cfc6c as a pickle of any protocol has it, near the beginning.
constexpr std::string_view kLegacyMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
constexpr std::size_t kMagicWithin = 32;
constexpr std::int64_t kLegacyVersion = 1001;

// Where a storage's bytes are.
struct Place {
  std::uint64_t size = 0;  // in bytes, as the pickle says
  std::uint64_t begin = 0;
};
using Places = std::map<std::string, Place, std::less<>>;

// Runs over the object's pickle to find its end and its storages, which come behind it.
class Scan final : public PickleHost {
 public:
  void see_global(std::string_view /*name*/) override {}
  PickleRef persistent(Pickle& pickle, PickleRef id) override {
    const PickleValue& parts = pickle[id];
    if (parts.kind == PickleKind::tuple && parts.items.size() >= 5) {
      const PickleValue& count = pickle.item(parts, 4);
      const TorchDType* dtype = find_torch_dtype(pickle.item(parts, 1).text);
      std::uint64_t size = 0;
      const bool known =
          dtype != nullptr && count.kind == PickleKind::integer && count.integer >= 0 &&
          !__builtin_mul_overflow(static_cast<std::uint64_t>(count.integer), dtype->size, &size);
      check<FileError>(known, "{}: storage {} is a {}, whose elements are not supported", pickle.who,
                       printable(pickle.item(parts, 2).text), printable(pickle.item(parts, 1).text));
      places.insert_or_assign(std::string(pickle.item(parts, 2).text), Place{size, 0});
    }
    // A module: its class, and the source it had, which is not read.
    if (parts.kind == PickleKind::tuple && parts.items.size() > 1 && pickle.item(parts, 0).text == "module") {
      return parts.items[1];
    }
    return id;
  }
  PickleRef call(Pickle& pickle, PickleRef function, PickleRef arguments) override {
    return pickle.add({.kind = PickleKind::object, .items = {function, arguments}});
  }

  Places places;
};

class LegacyStorages final : public TorchStorages {
 public:
  LegacyStorages(const ByteSource& source, const Places& places, bool big_endian)
      : source_(source), places_(places), big_endian_(big_endian) {}

  Tensor read(std::string_view key, std::uint64_t size) override {
    const auto at = places_.find(key);
    check<FileError>(at != places_.end() && at->second.size == size && at->second.begin > 0,
                     "{}: has no storage {} of {} bytes", source_.name(), printable(key), size);
    Tensor bytes = Tensor::empty({static_cast<std::int64_t>(size)}, uint8);
    source_.read(at->second.begin, {static_cast<std::byte*>(bytes.raw_mutable_data()), bytes.nbytes()});
    return bytes;
  }
  bool big_endian() const override { return big_endian_; }
  std::uint64_t most_bytes() const override { return most_unpacked_bytes(source_.size()); }

 private:
  const ByteSource& source_;
  const Places& places_;
  bool big_endian_;
};

// One pickle after the other.
class Pickles {
 public:
  explicit Pickles(const ByteSource& source) : bytes_(source.size()), source_(source) {
    source.read(0, bytes_);
  }

  Pickle next(Scan& scan) {
    Pickle pickle = empty();
    at_ = read_pickle(pickle, scan, at_);
    return pickle;
  }
  // The one at `begin`, once more.
  Pickle again(TorchTensors& tensors, std::size_t begin) const {
    Pickle pickle = empty();
    tensors.read(pickle, begin);
    return pickle;
  }
  std::size_t position() const { return at_; }

 private:
  Pickle empty() const {
    Pickle pickle;
    pickle.bytes = bytes_;
    pickle.who = source_.name();
    pickle.most_values = most_pickle_values(bytes_.size());
    return pickle;
  }

  std::vector<std::byte> bytes_;
  const ByteSource& source_;
  std::size_t at_ = 0;
};

// Fills in where the storages begin, in the order of `keys`, from `at` on.
void find_places(const ByteSource& source, const Pickle& keys, std::uint64_t at, Places& places) {
  const PickleValue& list = keys[keys.root];
  check<FileError>(list.kind == PickleKind::list, "{}: has no list of its storages", source.name());
  for (const PickleRef ref : list.items) {
    const auto place = places.find(keys[ref].text);
    check<FileError>(place != places.end(), "{}: has a storage {} that nothing uses", source.name(),
                     printable(keys[ref].text));
    std::uint64_t count = 0;  // the pickle says it too
    source.read(at, std::as_writable_bytes(std::span(&count, 1)));
    at += sizeof(count);
    check<FileError>(place->second.size <= source.size() - at, "{}: storage {} has {} bytes; it is truncated",
                     source.name(), printable(keys[ref].text), place->second.size);
    place->second.begin = at;
    at += place->second.size;
  }
}

}  // namespace

bool is_legacy_torch(const ByteSource& source) {
  char begin[kMagicWithin];
  if (source.size() < sizeof(begin)) return false;
  source.read(0, std::as_writable_bytes(std::span(begin)));
  const std::string_view text(begin, sizeof(begin));
  return text[0] == '\x80' && text.find(kLegacyMagic) != std::string_view::npos;
}

void read_legacy_torch(const ByteSource& source, const std::vector<std::string>& safe_globals,
                       const TorchArchive::Body& body) {
  Pickles pickles(source);
  Scan scan;
  pickles.next(scan);  // the magic number
  const Pickle version = pickles.next(scan);
  check<FileError>(
      version[version.root].kind == PickleKind::integer && version[version.root].integer == kLegacyVersion,
      "{}: is of another version than {}; save it again with PyTorch 1.6 or later", source.name(),
      kLegacyVersion);
  const Pickle system = pickles.next(scan);
  const PickleValue* little = system.find(system[system.root], "little_endian");
  const bool big_endian = little != nullptr && little->kind == PickleKind::boolean && little->integer == 0;

  const std::size_t object = pickles.position();
  pickles.next(scan);
  const Pickle keys = pickles.next(scan);
  find_places(source, keys, pickles.position(), scan.places);

  LegacyStorages storages(source, scan.places, big_endian);
  TorchTensors tensors(storages, safe_globals);
  const Pickle pickle = pickles.again(tensors, object);
  body(pickle, tensors);
}

}  // namespace qconv
