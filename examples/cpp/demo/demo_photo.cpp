#include <algorithm>
#include <array>
#include <cstdio>

#include "demo.hpp"
#include "picture.hpp"

namespace {

using qconv::Tensor;

std::vector<Tensor> calibration_photos(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Tensor> photos;
  for (const auto& file : files) photos.push_back(to_floats(qconv::load_image(file)));
  return photos;
}

/// Enlarged to the size of `truth` by the cubic kernel that image programs use (a = -0.5).
Tensor bicubic(const Tensor& photo, const Tensor& truth) {
  qconv::Resize resize = qconv::Resize::pytorch("bicubic");
  resize.size = qconv::IntList{truth.size(2), truth.size(3)};
  resize.cubic_coeff_a = -0.5;
  return qconv::functional::interpolate(photo, resize);
}

void save_side_by_side(const Tensor& input, const Tensor& float_image, const Tensor& int8_image,
                       const std::filesystem::path& file) {
  constexpr std::int64_t kHeader = 28;
  constexpr std::int64_t kGap = 4;
  const std::int64_t width = float_image.size(3);
  Picture picture(3 * width + 2 * kGap, kHeader + float_image.size(2), {255, 255, 255});
  const std::array<std::string_view, 3> titles{"input", "float32", "int8"};
  for (std::int64_t i = 0; i < 3; ++i) {
    picture.write(titles[static_cast<std::size_t>(i)], i * (width + kGap) + 6, 7, 2, {0, 0, 0});
  }
  picture.paste(input, 0, kHeader, width / input.size(3));
  picture.paste(float_image, width + kGap, kHeader);
  picture.paste(int8_image, 2 * (width + kGap), kHeader);
  qconv::save_png(picture.tensor(), file);
}

}  // namespace

DemoResult run_photo(const std::filesystem::path& examples, const std::filesystem::path& output) {
  std::printf("Photograph: enlarged twice by a network, judged on a photograph that it has not seen\n");
  const std::filesystem::path folder = examples / "photo";
  const NetworkPair networks = quantize_file(
      folder / "photo_x2.onnx", calibration_photos(folder / "calibration"), output / "photo.int8.onnx");

  const Tensor low = qconv::load_image(folder / "test" / "low.png");
  const Tensor high = qconv::load_image(folder / "test" / "high.png");
  const Tensor input = to_floats(low);
  const Tensor float_image = to_bytes(networks.float32.run(input));
  const Tensor int8_image = to_bytes(networks.int8.run(input));
  const double float_psnr = psnr(float_image, high);
  const double int8_psnr = psnr(int8_image, high);
  const double bicubic_psnr = psnr(to_bytes(bicubic(input, high)), high);
  const double speed_up = measure_speed_up(networks, input);
  save_side_by_side(low, float_image, int8_image, output / "photo.png");
  std::printf("  wrote      %s\n", (output / "photo.png").c_str());

  char line[160];
  std::snprintf(
      line, sizeof(line),
      "photo   float32 PSNR %.2f dB  int8 PSNR %.2f dB  bicubic %.2f dB  speed-up %.1fx  size %.1fx smaller",
      float_psnr, int8_psnr, bicubic_psnr, speed_up, networks.size_ratio);
  DemoResult result{line};
  if (float_psnr < bicubic_psnr + 0.5 || int8_psnr < float_psnr - 0.3) {
    std::fprintf(
        stderr, "demo: photo: expected float32 0.5 dB above bicubic or more, and int8 within 0.3 dB of it\n");
    result.good = false;
  }
  return result;
}
