// Quantizes two networks that come with real data, and shows what int8 costs and what it gains. Everything
// here is qconv's public interface: it is meant to be read and to be borrowed from.
//
//     demo EXAMPLES_FOLDER OUTPUT_FOLDER
#include "demo.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

double seconds_of(const auto& what) {
  const auto start = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double kibibytes(const std::filesystem::path& file) {
  return static_cast<double>(std::filesystem::file_size(file)) / 1024;
}

}  // namespace

NetworkPair quantize_file(const std::filesystem::path& file, const std::vector<qconv::Tensor>& samples,
                          const std::filesystem::path& int8_file) {
  const qconv::Network float32 = qconv::Network::load(file);
  std::printf("  float32    %s: %lld parameters, %.0f KiB\n", file.filename().c_str(),
              static_cast<long long>(float32.parameters()), kibibytes(file));
  const double seconds = seconds_of([&] { qconv::quantize(float32, samples).save(int8_file); });
  const qconv::Network int8 = qconv::Network::load(int8_file);
  const auto layers = int8.layers();
  const auto count =
      std::count_if(layers.begin(), layers.end(), [](const auto& layer) { return layer.quantized; });
  std::printf("  int8       %s: %d layers in int8, %.0f KiB, calibrated in %.2f s\n",
              int8_file.filename().c_str(), static_cast<int>(count), kibibytes(int8_file), seconds);
  return {float32, int8, kibibytes(file) / kibibytes(int8_file)};
}

double measure_speed_up(const NetworkPair& networks, const qconv::Tensor& input) {
  // One thread: what the other programs of this machine do then matters least.
  const int threads = qconv::get_num_threads();
  qconv::set_num_threads(1);
  networks.float32.run(input);  // the first run with new sizes makes the plan
  networks.int8.run(input);
  std::vector<double> float_times;
  std::vector<double> int8_times;
  for (double spent = 0; spent < 1.5 || float_times.size() < 11;) {
    float_times.push_back(seconds_of([&] { networks.float32.run(input); }));
    int8_times.push_back(seconds_of([&] { networks.int8.run(input); }));
    spent += float_times.back() + int8_times.back();
  }
  const double float_time = median(float_times);
  const double int8_time = median(int8_times);
  std::printf("  time       float32 %.2f ms, int8 %.2f ms (medians of %zu runs on one thread, float by %s)\n",
              float_time * 1e3, int8_time * 1e3, float_times.size(), qconv::float_library().c_str());
  qconv::set_num_threads(threads);
  return float_time / int8_time;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: demo EXAMPLES_FOLDER OUTPUT_FOLDER\n");
    return 2;
  }
  try {
    const std::filesystem::path output = argv[2];
    std::filesystem::create_directories(output);
    const DemoResult digits = run_digits(argv[1], output);
    const DemoResult photo = run_photo(argv[1], output);
    std::printf("\n%s\n%s\n", digits.line.c_str(), photo.line.c_str());
    return digits.good && photo.good ? 0 : 1;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "demo: %s\n", error.what());
    return 1;
  }
}
