// JPEG through libjpeg (libjpeg-turbo). As in png.cpp, functions that libjpeg may jump out of hold plain
// values only.
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

#include "io/image_codecs.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// A progressive file can name any number of scans, each of which costs a pass over the image.
constexpr int kMostScans = 200;

class JpegReader {
 public:
  JpegReader(std::span<const std::byte> bytes, const std::string& who) : bytes_(bytes), who_(who) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
  }
  // Safe also when creation failed half-way: the structure was zero then.
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Tensor read() {
    if (!read_header()) fail();
    check<FileError>(colours_known_,
                     "{}: JPEG images of {} colour components (CMYK) are not supported; convert to RGB", who_,
                     info_.num_components);
    Tensor image = new_image(info_.image_width, info_.image_height,
                             info_.out_color_space == JCS_GRAYSCALE ? 1 : 3, bytes_.size(), who_);
    const auto stride = static_cast<std::size_t>(image.size(3) * image.size(1));
    if (!read_rows(image.mutable_data<std::uint8_t>(), stride)) fail();
    return image;
  }

 private:
  static JpegReader& self(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

  [[noreturn]] void fail() const {
    throw FileError(fmt::format("{}: is not a sound JPEG file: {}", who_, message_.data()));
  }

  static void on_error(j_common_ptr info) {
    JpegReader& reader = self(info);
    info->err->format_message(info, reader.message_.data());
    std::longjmp(reader.escape_, 1);
  }
  // Level -1 means damaged data, which libjpeg would paint over. Only stray bytes between markers, which many
  // cameras leave, do no harm.
  static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA) on_error(info);
  }
  static void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
    JpegReader& reader = self(info);
    std::strncpy(reader.message_.data(), "it has too many scans", reader.message_.size() - 1);
    std::longjmp(reader.escape_, 1);
  }

  bool read_header() {
    if (setjmp(escape_) != 0) return false;
    void* const client = info_.client_data;
    jpeg_create_decompress(&info_);
    info_.client_data = client;
    progress_.progress_monitor = on_progress;
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()),
                 static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&info_, TRUE);
    const J_COLOR_SPACE stored = info_.jpeg_color_space;
    colours_known_ = stored == JCS_GRAYSCALE || stored == JCS_RGB || stored == JCS_YCbCr;
    info_.out_color_space = stored == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    return true;
  }

  // `first` holds image_height rows of `stride` bytes.
  bool read_rows(std::uint8_t* first, std::size_t stride) {
    if (setjmp(escape_) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = first + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  std::span<const std::byte> bytes_;
  const std::string& who_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_{};
  std::array<char, JMSG_LENGTH_MAX> message_{};
  bool colours_known_ = false;
};

}  // namespace

Tensor decode_jpeg(std::span<const std::byte> bytes, const std::string& who) {
  return JpegReader(bytes, who).read();
}

}  // namespace qconv
