#include <algorithm>
#include <cstdio>

#include "demo.hpp"
#include "picture.hpp"

namespace {

using qconv::Tensor;

Tensor array(const std::filesystem::path& file, const std::string& name) {
  for (const auto& [key, tensor] : qconv::load_npz(file)) {
    if (key == name) return tensor;
  }
  throw qconv::FileError(file.string() + ": no array called " + name);
}

/// The class with the highest score in each row.
std::vector<std::int64_t> best_classes(const Tensor& scores) {
  const std::vector<float> values = scores.to_vector<float>();
  const auto classes = scores.size(1);
  std::vector<std::int64_t> best;
  for (auto row = values.begin(); row != values.end(); row += classes) {
    best.push_back(std::max_element(row, row + classes) - row);
  }
  return best;
}

double percent_right(const std::vector<std::int64_t>& classes, const std::vector<std::int64_t>& labels) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += classes[i] == labels[i] ? 1 : 0;
  return 100.0 * static_cast<double>(right) / static_cast<double>(labels.size());
}

/// All images as one sheet, those that int8 got wrong in a red frame.
void save_sheet(const Tensor& images, const std::vector<std::int64_t>& classes,
                const std::vector<std::int64_t>& labels, const std::filesystem::path& file) {
  constexpr std::int64_t kColumns = 30;
  constexpr std::int64_t kZoom = 3;
  const std::int64_t cell = images.size(3) * kZoom + 4;
  const std::int64_t count = images.size(0);
  Picture sheet(kColumns * cell, (count + kColumns - 1) / kColumns * cell, {24, 24, 24});
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t x = i % kColumns * cell;
    const std::int64_t y = i / kColumns * cell;
    const auto index = static_cast<std::size_t>(i);
    if (classes[index] != labels[index]) sheet.fill(x, y, cell, cell, {220, 40, 40});
    sheet.paste(to_bytes(images.narrow(0, i, 1)), x + 2, y + 2, kZoom);
  }
  qconv::save_png(sheet.tensor(), file);
}

}  // namespace

DemoResult run_digits(const std::filesystem::path& examples, const std::filesystem::path& output) {
  std::printf("Handwritten digits: a small residual network, judged on images that it has not seen\n");
  const std::filesystem::path folder = examples / "digits";
  const std::vector<Tensor> batches{array(folder / "calibration.npz", "images")};
  const NetworkPair networks = quantize_file(folder / "digits.onnx", batches, output / "digits.int8.onnx");

  const Tensor images = array(folder / "test.npz", "images");
  const std::vector<std::int64_t> labels = array(folder / "test.npz", "labels").to_vector<std::int64_t>();
  const double float_percent = percent_right(best_classes(networks.float32.run(images)), labels);
  const std::vector<std::int64_t> int8_classes = best_classes(networks.int8.run(images));
  const double int8_percent = percent_right(int8_classes, labels);
  const double speed_up = measure_speed_up(networks, images);
  save_sheet(images, int8_classes, labels, output / "digits.png");
  std::printf("  wrote      %s\n\n", (output / "digits.png").c_str());

  char line[160];
  std::snprintf(
      line, sizeof(line),
      "digits  float32 top-1 %.2f%%  int8 top-1 %.2f%%  images %zu  speed-up %.1fx  size %.1fx smaller",
      float_percent, int8_percent, labels.size(), speed_up, networks.size_ratio);
  DemoResult result{line};
  if (float_percent < 98 || int8_percent < float_percent - 0.5) {
    std::fprintf(stderr,
                 "demo: digits: expected float32 top-1 of 98%% or more and int8 within 0.5 points of it\n");
    result.good = false;
  }
  return result;
}
