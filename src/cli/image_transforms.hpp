#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// What happens to images before their elements are scaled: resized, then cropped, then their channels put in
/// order; each only when asked for.
struct ImageTransforms {
  /// "256": the shorter side, the other in proportion (rounded down); "256x320": height and width.
  std::string resize = {};
  /// "224" or "224x192", height and width, out of the middle.
  std::string crop = {};
  /// "rgb", as images are read, or "bgr".
  std::string channel_order = "rgb";

  /// Declares --resize, --crop and --channel-order.
  void add_to(CLI::App& app, const std::string& group);
  bool empty() const { return resize.empty() && crop.empty() && channel_order == "rgb"; }
  /// `images` are float32 (N, C, H, W). Resizing takes weighted means over all pixels that become one (a
  /// triangle filter as wide as the pixels of the result, as PIL does); with `integers` it rounds to whole
  /// numbers after each direction. Throws ValueError for other sizes, a crop larger than the image, and bgr
  /// without three channels.
  Tensor apply(const Tensor& images, bool integers) const;
};

}  // namespace qconv::cli
