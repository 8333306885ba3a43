// The image functions of a build without libpng and libjpeg.
#include <qconv/io.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

[[noreturn]] void refuse(std::string_view what) {
  throw FileError(fmt::format(
      "{}: this qconv was built without image support; build it with QCONV_WITH_IMAGES=ON (libpng, libjpeg)",
      what));
}

}  // namespace

Tensor load_image(const std::filesystem::path& path) { refuse(path.string()); }
Tensor decode_image(std::span<const std::byte> /*bytes*/, std::string_view name) { refuse(name); }
void save_png(const Tensor& /*image*/, const std::filesystem::path& path) { refuse(path.string()); }
std::vector<std::byte> encode_png(const Tensor& /*image*/) { refuse("encode_png"); }

}  // namespace qconv
