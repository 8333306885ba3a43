// PNG through libpng. libpng reports an error by jumping, so every call to it sits in a function that holds
// nothing but plain values between setjmp and the jump; what must be freed belongs to the callers.
#include <array>
#include <cstring>

#include <png.h>

#include "io/image_codecs.hpp"
#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// What libpng said, kept in plain memory.
struct Failure {
  std::array<char, 160> text{};

  static void report(png_structp png, png_const_charp message) {
    auto* self = static_cast<Failure*>(png_get_error_ptr(png));
    std::strncpy(self->text.data(), message, self->text.size() - 1);
    png_longjmp(png, 1);
  }
  static void ignore(png_structp /*png*/, png_const_charp /*message*/) {}
};

class PngReader {
 public:
  PngReader(std::span<const std::byte> bytes, const std::string& who)
      : left_(bytes), total_(bytes.size()), who_(who) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure_, Failure::report, Failure::ignore);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Tensor read() {
    if (!read_header()) fail();
    Tensor image = new_image(png_get_image_width(png_, info_), png_get_image_height(png_, info_), channels_,
                             total_, who_);
    const std::size_t stride = static_cast<std::size_t>(image.size(3)) * static_cast<std::size_t>(channels_);
    if (!read_rows(image.mutable_data<std::uint8_t>(), stride, static_cast<png_uint_32>(image.size(2))))
      fail();
    return image;
  }

 private:
  [[noreturn]] void fail() const {
    throw FileError(fmt::format("{}: is not a sound PNG file: {}", who_, failure_.text.data()));
  }

  static void next_bytes(png_structp png, png_bytep target, std::size_t count) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self->left_.size()) png_error(png, "it is truncated");
    std::memcpy(target, self->left_.data(), count);
    self->left_ = self->left_.subspan(count);
  }

  // Up to the first pixel; sets how pixels are to come out: 8 bits, grey or RGB, no alpha.
  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, next_bytes);
    png_set_user_limits(png_, kMaxImageSide, kMaxImageSide);
    // Texts, profiles and the like are not needed: their contents are never unpacked.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    const int colour = png_get_color_type(png_, info_);
    const bool grey = colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA;
    channels_ = grey ? 1 : 3;
    png_set_scale_16(png_);
    png_set_expand(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  // `first` holds `rows` rows of `stride` bytes.
  bool read_rows(png_bytep first, std::size_t stride, png_uint_32 rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    if (png_get_rowbytes(png_, info_) != stride) png_error(png_, "its rows have an unexpected length");
    for (int pass = 0; pass < passes_; ++pass) {
      for (png_uint_32 row = 0; row < rows; ++row) png_read_row(png_, first + row * stride, nullptr);
    }
    png_read_end(png_, nullptr);
    return true;
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  Failure failure_;
  std::span<const std::byte> left_;
  std::size_t total_;
  const std::string& who_;
  int channels_ = 0;
  int passes_ = 1;
};

class PngWriter {
 public:
  PngWriter() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failure_, Failure::report, Failure::ignore);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngWriter() { png_destroy_write_struct(&png_, &info_); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  std::vector<std::byte> write(const Tensor& image) {
    if (!write_all(image.data<std::uint8_t>(), static_cast<int>(image.size(1)),
                   static_cast<png_uint_32>(image.size(2)), static_cast<png_uint_32>(image.size(3)))) {
      throw FileError(fmt::format("save_png: {}", failure_.text.data()));
    }
    return std::move(bytes_);
  }

 private:
  static void append(png_structp png, png_bytep data, std::size_t count) {
    auto* self = static_cast<PngWriter*>(png_get_io_ptr(png));
    if (!self->try_append({reinterpret_cast<const std::byte*>(data), count})) png_error(png, "out of memory");
  }
  static void flush(png_structp /*png*/) {}

  // Exceptions must not pass through libpng.
  bool try_append(std::span<const std::byte> data) {
    try {
      bytes_.insert(bytes_.end(), data.begin(), data.end());
      return true;
    } catch (...) {
      return false;
    }
  }

  bool write_all(const std::uint8_t* pixels, int channels, png_uint_32 height, png_uint_32 width) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_write_fn(png_, this, append, flush);
    png_set_IHDR(png_, info_, width, height, 8, channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    const std::size_t stride = std::size_t{width} * static_cast<std::size_t>(channels);
    for (png_uint_32 row = 0; row < height; ++row) png_write_row(png_, pixels + row * stride);
    png_write_end(png_, nullptr);
    return true;
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  Failure failure_;
  std::vector<std::byte> bytes_;
};

}  // namespace

Tensor decode_png(std::span<const std::byte> bytes, const std::string& who) {
  return PngReader(bytes, who).read();
}

std::vector<std::byte> encode_png_rows(const Tensor& image) { return PngWriter().write(image); }

}  // namespace qconv
