#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <qconv/tensor.hpp>

#include "cli/image_transforms.hpp"

namespace qconv::cli {

/// How elements become what a network expects: (x * scale - mean[c]) / std[c], per channel c, after images
/// were resized, cropped and had their channels put in order.
struct Preprocessing {
  ImageTransforms images;
  /// 0 for the usual: 1/255 for uint8 data (images), 1 for the rest.
  double scale = 0;
  std::vector<double> mean;  ///< empty, one value, or one per channel
  std::vector<double> std;

  /// Declares --scale, --mean and --std, and the options of ImageTransforms.
  void add_to(CLI::App& app);
  /// `samples` (N, C, ...) as float32. Throws ValueError when there are neither 1 nor C values,
  /// or as ImageTransforms does.
  Tensor apply(const Tensor& samples) const;
};

/// Inputs of a network, one at a time: images of a folder (sorted by name), one image, or the rows of an .npy
/// or .npz array.
class Dataset {
 public:
  /// `array` names the array of an .npz archive; empty for `images` or the only one. `limit` samples at most
  /// (0: all of them), spread evenly over the data. Throws FileError.
  Dataset(const std::filesystem::path& path, Preprocessing preprocessing, const std::string& array = {},
          std::size_t limit = 0);

  /// Every `count`th sample, from sample `first` on: the data in `count` parts that differ by a sample at
  /// most and share what was read. A part may be empty.
  Dataset part(std::size_t first, std::size_t count) const;

  std::size_t size() const { return indices_.size(); }
  /// Sample `i` as float32 of sizes (1, C, ...). A grey image becomes three equal channels where `channels`
  /// (what the network takes; 0 when not known) is 3. Images are read when they are asked for.
  Tensor sample(std::size_t i, std::int64_t channels = 0) const;
  /// Where sample `i` stands in the whole of the data.
  std::size_t index(std::size_t i) const { return indices_.at(i); }
  /// What errors call sample `i`.
  std::string name(std::size_t i) const;

 private:
  std::filesystem::path path_;
  Preprocessing preprocessing_;
  std::vector<std::filesystem::path> images_;
  Tensor rows_;
  std::vector<std::size_t> indices_;
};

}  // namespace qconv::cli
