#include "picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <qconv/qconv.hpp>

using qconv::Tensor;

namespace {

struct Glyph {
  char letter;
  std::array<std::string_view, 8> rows;  // the last one below the line
};

constexpr std::array<Glyph, 12> kGlyphs{{
    {'a', {"     ", "     ", " ### ", "    #", " ####", "#   #", " ####"}},
    {'f', {"  ## ", " #   ", "###  ", " #   ", " #   ", " #   ", " #   "}},
    {'i', {"  #  ", "     ", " ##  ", "  #  ", "  #  ", "  #  ", " ### "}},
    {'l', {" ##  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
    {'n', {"     ", "     ", "#### ", "#   #", "#   #", "#   #", "#   #"}},
    {'o', {"     ", "     ", " ### ", "#   #", "#   #", "#   #", " ### "}},
    {'p', {"     ", "     ", "#### ", "#   #", "#   #", "#### ", "#    ", "#    "}},
    {'t', {" #   ", " #   ", "###  ", " #   ", " #   ", " #   ", "  ## "}},
    {'u', {"     ", "     ", "#   #", "#   #", "#   #", "#   #", " ####"}},
    {'2', {" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"}},
    {'3', {"#### ", "    #", "    #", " ### ", "    #", "    #", "#### "}},
    {'8', {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "}},
}};

}  // namespace

Picture::Picture(std::int64_t width, std::int64_t height, Colour background)
    : pixels_(Tensor::empty({1, 3, height, width}, qconv::uint8)) {
  fill(0, 0, width, height, background);
}

void Picture::fill(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Colour colour) {
  const std::array<std::uint8_t, 3> values{colour.red, colour.green, colour.blue};
  const std::int64_t rows = pixels_.size(2);
  const std::int64_t columns = pixels_.size(3);
  auto* data = pixels_.mutable_data<std::uint8_t>();
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t j = y; j < std::min(y + height, rows); ++j) {
      std::fill_n(data + (c * rows + j) * columns + x,
                  std::max<std::int64_t>(0, std::min(width, columns - x)),
                  values[static_cast<std::size_t>(c)]);
    }
  }
}

void Picture::paste(const Tensor& image, std::int64_t x, std::int64_t y, std::int64_t zoom) {
  const Tensor source = image.contiguous();
  const auto* from = source.data<std::uint8_t>();
  const std::int64_t height = source.size(2);
  const std::int64_t width = source.size(3);
  for (std::int64_t j = 0; j < height; ++j) {
    for (std::int64_t i = 0; i < width; ++i) {
      const auto value = [&](std::int64_t c) {
        return from[(std::min(c, source.size(1) - 1) * height + j) * width + i];
      };
      fill(x + i * zoom, y + j * zoom, zoom, zoom, {value(0), value(1), value(2)});
    }
  }
}

void Picture::write(std::string_view text, std::int64_t x, std::int64_t y, std::int64_t zoom, Colour colour) {
  for (const char letter : text) {
    const auto glyph =
        std::find_if(kGlyphs.begin(), kGlyphs.end(), [&](const Glyph& g) { return g.letter == letter; });
    for (std::size_t j = 0; glyph != kGlyphs.end() && j < glyph->rows.size(); ++j) {
      for (std::size_t i = 0; i < glyph->rows[j].size(); ++i) {
        if (glyph->rows[j][i] == '#') {
          fill(x + static_cast<std::int64_t>(i) * zoom, y + static_cast<std::int64_t>(j) * zoom, zoom, zoom,
               colour);
        }
      }
    }
    x += 6 * zoom;
  }
}

Tensor to_bytes(const Tensor& image) {
  std::vector<std::uint8_t> bytes;
  for (const float x : image.to_vector<float>()) {
    bytes.push_back(static_cast<std::uint8_t>(std::rint(std::clamp(x, 0.0F, 1.0F) * 255)));
  }
  return Tensor::from_data(bytes, image.sizes());
}

Tensor to_floats(const Tensor& image) {
  std::vector<float> values;
  for (const std::uint8_t x : image.to_vector<std::uint8_t>()) values.push_back(static_cast<float>(x) / 255);
  return Tensor::from_data(values, image.sizes());
}

double psnr(const Tensor& image, const Tensor& truth) {
  const auto a = image.to_vector<std::uint8_t>();
  const auto b = truth.to_vector<std::uint8_t>();
  if (image.sizes() != truth.sizes()) throw qconv::ValueError("psnr: the images have different sizes");
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.size()) / sum);
}
