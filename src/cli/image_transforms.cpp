#include "cli/image_transforms.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <qconv/functional.hpp>

#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct Size {
  std::int64_t height;
  std::int64_t width;  ///< 0 when only one number was given
};

constexpr std::int64_t kMaxSide = 1 << 16;

// "256" or "256x320".
std::optional<Size> parse_size(const std::string& text) {
  std::array<std::int64_t, 2> sides{};
  const char* at = text.data();
  const char* end = at + text.size();
  for (std::int64_t& side : sides) {
    const auto [next, error] = std::from_chars(at, end, side);
    if (error != std::errc() || side < 1 || side > kMaxSide) return std::nullopt;
    if (next == end) break;
    if (*next != 'x' || &side != &sides[0]) return std::nullopt;
    at = next + 1;
  }
  return Size{sides[0], sides[1]};
}

CLI::Validator size_text() {
  return {[](std::string& text) {
            return parse_size(text) ? std::string()
                                    : fmt::format("expected a size such as 224 or 224x192, got {}", text);
          },
          ""};
}

// The pixels that become one, and how much each counts.
struct Window {
  std::int64_t first;
  std::vector<double> weights;
};

// With `integers`, weights are multiples of 2^-22 as in PIL, and sums of bytes exact: ties round as its do.
std::vector<Window> windows(std::int64_t from, std::int64_t to, bool integers) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(scale, 1.0);
  std::vector<Window> all;
  for (std::int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = static_cast<std::int64_t>(std::floor(std::max(center - support + 0.5, 0.0)));
    const auto end = std::min(static_cast<std::int64_t>(std::floor(center + support + 0.5)), from);
    Window window{begin, {}};
    double sum = 0;
    for (std::int64_t p = begin; p < end; ++p) {
      const double distance = std::abs(static_cast<double>(p) + 0.5 - center) / support;
      window.weights.push_back(std::max(1 - distance, 0.0));
      sum += window.weights.back();
    }
    for (double& w : window.weights) {
      w /= sum;
      if (integers) w = std::floor(w * 0x1p22 + 0.5) * 0x1p-22;
    }
    all.push_back(std::move(window));
  }
  return all;
}

float pixel(double value, bool integers) {
  return static_cast<float>(integers ? std::clamp(std::floor(value + 0.5), 0.0, 255.0) : value);
}

// Memory that reads as [outer][length][inner] becomes [outer][windows][inner].
std::vector<float> resized(const std::vector<float>& x, std::int64_t outer, std::int64_t length,
                           std::int64_t inner, const std::vector<Window>& windows, bool integers) {
  std::vector<float> result;
  result.reserve(static_cast<std::size_t>(outer * inner) * windows.size());
  std::vector<double> row(static_cast<std::size_t>(inner));
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const Window& w : windows) {
      std::fill(row.begin(), row.end(), 0.0);
      const float* from = x.data() + (o * length + w.first) * inner;
      for (const double weight : w.weights) {
        for (double& sum : row) sum += weight * static_cast<double>(*from++);
      }
      for (const double sum : row) result.push_back(pixel(sum, integers));
    }
  }
  return result;
}

Tensor resized(const Tensor& images, Size to, bool integers) {
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  if (to.height == height && to.width == width) return images;
  const std::int64_t planes = images.size(0) * images.size(1);
  std::vector<float> x = images.to_vector<float>();
  x = resized(x, planes * height, width, 1, windows(width, to.width, integers), integers);
  x = resized(x, planes, height, to.width, windows(height, to.height, integers), integers);
  return Tensor::from_data(x, {images.size(0), images.size(1), to.height, to.width});
}

Size size_for(const Tensor& images, Size wanted) {
  if (wanted.width != 0) return wanted;
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  const std::int64_t shorter = std::min(height, width);
  return {wanted.height * height / shorter, wanted.height * width / shorter};
}

Tensor cropped(const Tensor& images, Size to) {
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  check(to.height <= height && to.width <= width,
        "--crop {}x{} is larger than the image of {}x{} (height x width); add --resize", to.height, to.width,
        height, width);
  return images.narrow(2, (height - to.height) / 2, to.height)
      .narrow(3, (width - to.width) / 2, to.width)
      .contiguous();
}

Tensor reversed_channels(const Tensor& images) {
  check(images.size(1) == 3, "--channel-order bgr needs data with 3 channels, got {}", images.size(1));
  const std::array<Tensor, 3> channels{images.narrow(1, 2, 1), images.narrow(1, 1, 1),
                                       images.narrow(1, 0, 1)};
  return functional::cat(channels, 1);
}

}  // namespace

void ImageTransforms::add_to(CLI::App& app, const std::string& group) {
  app.add_option("--resize", resize, "Resize images: the shorter side (256), or height and width (256x320)")
      ->check(size_text())
      ->type_name("SIZE")
      ->group(group);
  app.add_option("--crop", crop, "Then keep the middle: a square (224), or height and width (224x192)")
      ->check(size_text())
      ->type_name("SIZE")
      ->group(group);
  app.add_option("--channel-order", channel_order, "Of the network's input: rgb or bgr")
      ->check(CLI::IsMember({"rgb", "bgr"}))
      ->capture_default_str()
      ->type_name("ORDER")
      ->group(group);
}

Tensor ImageTransforms::apply(const Tensor& images, bool integers) const {
  if (empty()) return images;
  check(images.dim() == 4 && images.numel() > 0,
        "--resize, --crop and --channel-order need images (N, C, H, W), got sizes {}", images.sizes());
  Tensor result = images;
  if (const auto size = parse_size(resize)) result = resized(result, size_for(result, *size), integers);
  if (const auto size = parse_size(crop)) {
    result = cropped(result, {size->height, size->width == 0 ? size->height : size->width});
  }
  if (channel_order == "bgr") result = reversed_channels(result);
  return result;
}

}  // namespace qconv::cli
