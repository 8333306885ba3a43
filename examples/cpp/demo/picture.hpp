#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/tensor.hpp>

/// A colour image that pieces are put into.
class Picture {
 public:
  struct Colour {
    std::uint8_t red, green, blue;
  };

  Picture(std::int64_t width, std::int64_t height, Colour background);

  void fill(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Colour colour);
  /// Copies a uint8 image (1, C, H, W), grey or colour, with its corner at (x, y); every pixel becomes `zoom`
  /// by `zoom` pixels.
  void paste(const qconv::Tensor& image, std::int64_t x, std::int64_t y, std::int64_t zoom = 1);
  /// Writes in small letters, `zoom` pixels thick; only letters that this demo needs exist.
  void write(std::string_view text, std::int64_t x, std::int64_t y, std::int64_t zoom, Colour colour);

  /// uint8 (1, 3, H, W).
  const qconv::Tensor& tensor() const { return pixels_; }

 private:
  qconv::Tensor pixels_;
};

/// A float image with values in [0, 1] as uint8: rint(clamp(x, 0, 1) * 255).
qconv::Tensor to_bytes(const qconv::Tensor& image);
/// The opposite: x / 255.
qconv::Tensor to_floats(const qconv::Tensor& image);

/// Peak signal-to-noise ratio of two uint8 images of equal sizes, in dB.
double psnr(const qconv::Tensor& image, const qconv::Tensor& truth);
