#include "io/zip_writer.hpp"

#include <array>

#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kMostBytes = UINT32_MAX;
constexpr std::uint64_t kLocalHeader = 30;
constexpr std::uint64_t kExtraHeader = 4;
constexpr std::size_t kMostEntries = UINT16_MAX;
constexpr std::uint16_t kUtf8Names = 0x0800;
constexpr std::uint16_t kSizesFollow = 0x0008;

// Numbers are written lowest byte first, as zip wants them and as this machine has them.
template <class... T>
void put(std::string& out, T... values) {
  (out.append(reinterpret_cast<const char*>(&values), sizeof(values)), ...);
}

// The checksum of zip, a byte at a time: CRC-32 with the reflected polynomial 0xedb88320.
constexpr std::array<std::uint32_t, 256> kCrcOfByte = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    table[byte] = crc;
  }
  return table;
}();

std::uint32_t checksum(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kCrcOfByte[(crc ^ static_cast<std::uint32_t>(byte)) & 0xff];
  }
  return ~crc;
}

}  // namespace

void AlignedZipWriter::write(const std::string& bytes) {
  sink_.write(bytes);
  at_ += bytes.size();
}

void AlignedZipWriter::add(std::string_view name, std::span<const std::byte> bytes, std::string_view who) {
  const std::uint64_t start = at_ + kLocalHeader + name.size() + kExtraHeader;
  const std::uint64_t filler = (kAlignment - start % kAlignment) % kAlignment;
  // What is still to come: the descriptor, and the directory with this entry and the end record.
  constexpr std::uint64_t kRest = 256;
  check(bytes.size() < kMostBytes &&
            start + filler + bytes.size() + directory_.size() + 2 * name.size() + kRest < kMostBytes &&
            count_ < kMostEntries,
        "{}: an archive of more than 4 GiB or {} entries cannot be written", who, kMostEntries);
  const auto offset = static_cast<std::uint32_t>(at_);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  const auto name_size = static_cast<std::uint16_t>(name.size());
  const std::uint32_t crc = checksum(bytes);
  // PyTorch counts on it: nothing follows a payload of no bytes.
  const auto flags = static_cast<std::uint16_t>(kUtf8Names | (bytes.empty() ? 0 : kSizesFollow));
  constexpr std::uint16_t kNone = 0;
  constexpr std::uint32_t kLater = 0;

  std::string header("PK\x03\x04", 4);
  put(header, kNone, flags, kNone, kNone, kNone, kLater, kLater, kLater, name_size,
      static_cast<std::uint16_t>(kExtraHeader + filler));
  header += name;
  header += "FB";
  put(header, static_cast<std::uint16_t>(filler));
  header.append(filler, 'Z');
  write(header);
  sink_.write(bytes);
  at_ += bytes.size();
  if (!bytes.empty()) {
    std::string descriptor("PK\x07\x08", 4);
    put(descriptor, crc, size, size);
    write(descriptor);
  }

  directory_ += std::string_view("PK\x01\x02", 4);
  // Made by, needed; flags, method, time, date; checksum and sizes.
  put(directory_, kNone, kNone, flags, kNone, kNone, kNone, crc, size, size, name_size);
  // Extra field, comment, disk, attributes inside and outside; where the entry begins.
  put(directory_, kNone, kNone, kNone, kNone, kLater, offset);
  directory_ += name;
  ++count_;
}

void AlignedZipWriter::finish() {
  const auto begin = static_cast<std::uint32_t>(at_);
  const auto count = static_cast<std::uint16_t>(count_);
  std::string end("PK\x05\x06\0\0\0\0", 8);
  put(end, count, count, static_cast<std::uint32_t>(directory_.size()), begin, std::uint16_t{0});
  write(directory_);
  write(end);
}

}  // namespace qconv
