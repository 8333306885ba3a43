// What PNG and JPEG share: telling them apart, the limits, and the public functions.
#include <algorithm>
#include <array>

#include <qconv/io.hpp>

#include "io/atomic_file.hpp"
#include "io/byte_source.hpp"
#include "io/image_codecs.hpp"
#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 28;
constexpr std::uint64_t kFreePixels = std::uint64_t{1} << 22;
// One-bit rows of one colour, deflated: nothing honest packs tighter.
constexpr std::uint64_t kPixelsPerByte = 8192;
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 30;

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  const auto expected = std::as_bytes(std::span(magic));
  return bytes.size() >= expected.size() && std::equal(expected.begin(), expected.end(), bytes.begin());
}

// (1, C, H, W) in channels-last memory.
Tensor checked_image(const Tensor& image) {
  check(image.defined(), "save_png: the tensor is undefined");
  check<TypeError>(image.dtype() == uint8, "save_png: expected a uint8 tensor, got {}",
                   to_string(image.dtype()));
  const int rank = image.dim();
  const bool fits = rank == 3 || (rank == 4 && image.size(0) == 1);
  check(fits && (image.size(-3) == 1 || image.size(-3) == 3),
        "save_png: expected sizes (C, H, W) or (1, C, H, W) with C 1 or 3, got {}",
        image.sizes().to_string());
  check(image.numel() > 0 && image.size(-2) <= kMaxImageSide && image.size(-1) <= kMaxImageSide,
        "save_png: an image has 1 to {} pixels on a side, got sizes {}", kMaxImageSide,
        image.sizes().to_string());
  return (rank == 3 ? image.unsqueeze(0) : image).contiguous(MemoryFormat::channels_last);
}

}  // namespace

Tensor new_image(std::uint32_t width, std::uint32_t height, int channels, std::size_t file_bytes,
                 const std::string& who) {
  check<FileError>(width > 0 && height > 0, "{}: the image is {}x{} pixels", who, width, height);
  const std::uint64_t pixels = std::uint64_t{width} * height;
  check<FileError>(width <= kMaxImageSide && height <= kMaxImageSide && pixels <= kMostPixels,
                   "{}: an image of {}x{} pixels is over the limit of {} on a side and {} in all", who, width,
                   height, kMaxImageSide, kMostPixels);
  check<FileError>(pixels <= kFreePixels + kPixelsPerByte * file_bytes,
                   "{}: header promises {}x{} pixels, more than a file of {} bytes can hold", who, width,
                   height, file_bytes);
  return Tensor::empty({1, channels, height, width}, uint8, MemoryFormat::channels_last);
}

Tensor decode_image(std::span<const std::byte> bytes, std::string_view name) {
  const std::string who(name);
  if (begins_with(bytes, "\x89PNG\r\n\x1a\n")) return decode_png(bytes, who);
  if (begins_with(bytes, "\xff\xd8\xff")) return decode_jpeg(bytes, who);
  std::string start(std::min<std::size_t>(bytes.size(), 8), '\0');
  std::transform(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(start.size()), start.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  throw FileError(
      fmt::format("{}: is neither a PNG nor a JPEG image (it begins with {})", who, printable(start)));
}

Tensor load_image(const std::filesystem::path& path) {
  const FileSource source(path);
  check<FileError>(source.size() <= kLargestFile, "{}: an image file of {} bytes is over the limit of {}",
                   source.name(), source.size(), kLargestFile);
  std::vector<std::byte> bytes(source.size());
  source.read(0, bytes);
  return decode_image(bytes, source.name());
}

std::vector<std::byte> encode_png(const Tensor& image) { return encode_png_rows(checked_image(image)); }

void save_png(const Tensor& image, const std::filesystem::path& path) { save_bytes(encode_png(image), path); }

}  // namespace qconv
