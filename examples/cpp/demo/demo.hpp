#pragma once

#include <filesystem>
#include <string>

#include <qconv/qconv.hpp>

/// What one half of the demo found: the line to end with, and whether the figures are as good as they must
/// be.
struct DemoResult {
  std::string line;
  bool good = true;
};

/// Handwritten digits: calibrates, quantizes and judges a classifier; writes `output`/digits.int8.onnx and
/// digits.png.
DemoResult run_digits(const std::filesystem::path& examples, const std::filesystem::path& output);
/// A photograph enlarged twice: the same, with photo.int8.onnx and the side-by-side photo.png.
DemoResult run_photo(const std::filesystem::path& examples, const std::filesystem::path& output);

/// One network in both precisions.
struct NetworkPair {
  qconv::Network float32;
  qconv::Network int8;
  double size_ratio;  ///< bytes of the float file / bytes of the int8 file
};

/// Loads `file`, quantizes it with `samples` (one tensor per run), saves it as `int8_file` and loads that
/// again, telling what happens.
NetworkPair quantize_file(const std::filesystem::path& file, const std::vector<qconv::Tensor>& samples,
                          const std::filesystem::path& int8_file);

/// How many times faster int8 runs `input`: the ratio of median times of whole runs, float and int8 taking
/// turns so that a disturbance hits both. Both run on one thread.
double measure_speed_up(const NetworkPair& networks, const qconv::Tensor& input);
