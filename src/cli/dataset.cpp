#include "cli/dataset.hpp"

#include <algorithm>
#include <array>

#include <qconv/functional.hpp>
#include <qconv/io.hpp>

#include "cli/files.hpp"
#include "cli/validators.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

template <class T>
void convert(const Tensor& from, double scale, float* to) {
  const Tensor dense = from.contiguous();
  const T* values = dense.data<T>();
  const auto factor = static_cast<float>(scale);
  for (std::int64_t i = 0; i < dense.numel(); ++i) to[i] = static_cast<float>(values[i]) * factor;
}

Tensor to_float(const Tensor& samples, double scale) {
  if (samples.dtype() == DType::float32 && scale == 1) return samples.contiguous();
  Tensor result = Tensor::empty(samples.sizes(), DType::float32);
  float* to = result.mutable_data<float>();
  switch (samples.dtype()) {
    case DType::float32:
      convert<float>(samples, scale, to);
      break;
    case DType::float64:
      convert<double>(samples, scale, to);
      break;
    case DType::int32:
      convert<std::int32_t>(samples, scale, to);
      break;
    case DType::int64:
      convert<std::int64_t>(samples, scale, to);
      break;
    case DType::int8:
      convert<std::int8_t>(samples, scale, to);
      break;
    default:
      convert<std::uint8_t>(samples, scale, to);
  }
  return result;
}

double value_for(const std::vector<double>& values, std::int64_t channel, double otherwise) {
  if (values.empty()) return otherwise;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
}

// `total` numbers, or `limit` of them, evenly spread.
std::vector<std::size_t> spread(std::size_t total, std::size_t limit) {
  const std::size_t count = limit == 0 ? total : std::min(limit, total);
  std::vector<std::size_t> indices(count);
  for (std::size_t i = 0; i < count; ++i) indices[i] = i * total / count;
  return indices;
}

std::vector<std::filesystem::path> images_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> images;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_image(kind_of(entry.path()))) images.push_back(entry.path());
  }
  std::sort(images.begin(), images.end());
  check<FileError>(!images.empty(), "{}: no images in this folder, expected .png, .jpg or .jpeg files",
                   folder.string());
  return images;
}

}  // namespace

void Preprocessing::add_to(CLI::App& app) {
  const auto* group = "Preprocessing: (x * scale - mean) / std";
  images.add_to(app, group);
  app.add_option("--scale", scale, "Factor of every element (default: 1/255 for uint8 data, else 1)")
      ->check(positive_number())
      ->type_name("X")
      ->group(group);
  app.add_option("--mean", mean, "One value, or one per channel, as in 0.485,0.456,0.406")
      ->delimiter(',')
      ->type_name("X,...")
      ->group(group);
  app.add_option("--std", std, "One value, or one per channel, as in 0.229,0.224,0.225")
      ->delimiter(',')
      ->check(positive_number())
      ->type_name("X,...")
      ->group(group);
}

Tensor Preprocessing::apply(const Tensor& samples) const {
  const double factor = scale != 0 ? scale : samples.dtype() == DType::uint8 ? 1.0 / 255 : 1.0;
  Tensor result = images.empty()
                      ? to_float(samples, factor)
                      : to_float(images.apply(to_float(samples, 1), samples.dtype() == uint8), factor);
  if (mean.empty() && std.empty()) return result;
  check(samples.dim() >= 2, "--mean and --std need data with channels (N, C, ...), got sizes {}",
        samples.sizes().to_string());
  const std::int64_t channels = result.size(1);
  for (const auto* values : {&mean, &std}) {
    check(values->size() <= 1 || static_cast<std::int64_t>(values->size()) == channels,
          "{}: got {} values for data with {} channels; give one, or one per channel",
          values == &mean ? "--mean" : "--std", values->size(), channels);
  }
  if (result.raw_data() == samples.raw_data()) result = result.clone();
  const std::int64_t plane =
      channels == 0 || result.numel() == 0 ? 0 : result.numel() / result.size(0) / channels;
  float* values = result.mutable_data<float>();
  for (std::int64_t i = 0; plane != 0 && i < result.numel() / plane; ++i) {
    const auto m = static_cast<float>(value_for(mean, i % channels, 0));
    const auto s = static_cast<float>(value_for(std, i % channels, 1));
    for (std::int64_t j = 0; j < plane; ++j) values[i * plane + j] = (values[i * plane + j] - m) / s;
  }
  return result;
}

Dataset::Dataset(const std::filesystem::path& path, Preprocessing preprocessing, const std::string& array,
                 std::size_t limit)
    : path_(path), preprocessing_(std::move(preprocessing)) {
  require_file(path, /*folder=*/true);
  const FileKind kind = kind_of(path);
  if (std::filesystem::is_directory(path)) {
    images_ = images_in(path);
  } else if (is_image(kind)) {
    images_ = {path};
  } else {
    check<FileError>(kind == FileKind::npy || kind == FileKind::npz,
                     "{}: cannot read inputs from it; expected a folder of images, an image, .npy or .npz",
                     path.string());
    rows_ = load_array(path, array);
    check<FileError>(rows_.dim() >= 1 && rows_.size(0) > 0,
                     "{}: expected an array of samples (N, C, ...), got sizes {}", path.string(),
                     rows_.sizes().to_string());
  }
  indices_ = spread(rows_.defined() ? static_cast<std::size_t>(rows_.size(0)) : images_.size(), limit);
}

Dataset Dataset::part(std::size_t first, std::size_t count) const {
  Dataset part = *this;
  part.indices_.clear();
  for (std::size_t i = first; i < indices_.size(); i += count) part.indices_.push_back(indices_[i]);
  return part;
}

Tensor Dataset::sample(std::size_t i, std::int64_t channels) const {
  const std::size_t index = indices_.at(i);
  if (rows_.defined()) return preprocessing_.apply(rows_.narrow(0, static_cast<std::int64_t>(index), 1));
  Tensor image = load_image(images_[index]);
  if (channels == 3 && image.size(1) == 1) {
    const std::array<Tensor, 3> equal{image, image, image};
    image = functional::cat(equal, 1);
  }
  check(channels <= 0 || image.size(1) == channels, "{}: an image of {} channels, but the network takes {}",
        name(i), image.size(1), channels);
  return preprocessing_.apply(image);
}

std::string Dataset::name(std::size_t i) const {
  const std::size_t index = indices_.at(i);
  return rows_.defined() ? fmt::format("{}[{}]", path_.string(), index) : images_[index].string();
}

}  // namespace qconv::cli
