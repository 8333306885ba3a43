#include <string>

#include "fuzz_util.hpp"
#include "targets.hpp"

namespace {

std::uint32_t big_endian(const std::string& text, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8) | static_cast<std::uint8_t>(text[at + i]);
  return value;
}

// The file with right checksums: without that, almost every change ends at the first of them.
std::string with_checksums(std::string png) {
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t length = big_endian(png, at);
    if (length > png.size() - at - 12) break;
    std::uint32_t crc = 0xffffffff;
    for (std::size_t i = at + 4; i < at + 8 + length; ++i) {
      crc ^= static_cast<std::uint8_t>(png[i]);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<char>(~crc >> (24 - 8 * i));
    at += 12 + length;
  }
  return png;
}

}  // namespace

int fuzz_png(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  std::string png = "\x89PNG\r\n\x1a\n";
  if (size < png.size()) return 0;
  png.append(reinterpret_cast<const char*>(data) + png.size(), size - png.size());
  png = with_checksums(std::move(png));
  Tensor image;
  if (!accepts([&] { image = decode_image(std::as_bytes(std::span(png))); })) return 0;
  if (image.numel() > 1 << 20) return 0;  // large pictures take long to pack again
  require(equal(decode_image(encode_png(image)), image), "a saved picture reads back differently");
  return 0;
}
