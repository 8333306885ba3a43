#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <qconv/tensor.hpp>

namespace qconv {

/// The longest side of an image, as in libjpeg.
inline constexpr std::uint32_t kMaxImageSide = 65500;

/// An uninitialized image tensor: uint8, (1, channels, height, width), channels-last. Throws FileError, in
/// the name of `who`, when the sizes are over the limits of <qconv/io.hpp> for a file of `file_bytes`.
Tensor new_image(std::uint32_t width, std::uint32_t height, int channels, std::size_t file_bytes,
                 const std::string& who);

/// One format each; errors begin with `who`.
Tensor decode_png(std::span<const std::byte> bytes, const std::string& who);
Tensor decode_jpeg(std::span<const std::byte> bytes, const std::string& who);
/// `image` is channels-last uint8 of sizes (1, 1 or 3, H, W) and not empty.
std::vector<std::byte> encode_png_rows(const Tensor& image);

}  // namespace qconv
