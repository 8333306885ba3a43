#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// What a peer written in C++ needs: layers, data for them, a check of the result and a timing loop. Stands
/// alone, so that a peer shares no code with qconv.
namespace peer {

using Sizes = std::vector<std::int64_t>;

inline std::int64_t product(const Sizes& sizes) {
  std::int64_t result = 1;
  for (const std::int64_t size : sizes) result *= size;
  return result;
}

/// One line of a layer list (bench/layers.csv).
struct Layer {
  std::string name;
  bool transposed = false;
  std::int64_t batch = 1;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  std::int64_t groups = 1;
  Sizes input, kernel, stride, padding, dilation, output_padding, output;

  std::size_t dimensions() const { return input.size(); }
  std::int64_t in_channels_per_group() const { return in_channels / groups; }
  std::int64_t out_channels_per_group() const { return out_channels / groups; }
};

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

inline Sizes parse_sizes(const std::string& text) {
  Sizes sizes;
  for (const std::string& part : split(text, 'x')) sizes.push_back(std::stoll(part));
  return sizes;
}

/// Throws std::runtime_error or std::invalid_argument for anything but a line of a layer list.
inline Layer parse_layer(const std::string& line) {
  const std::vector<std::string> cells = split(line, ',');
  if (cells.size() != 13) throw std::runtime_error("expected 13 columns: " + line);
  Layer layer;
  layer.name = cells[0];
  layer.transposed = cells[1] == "convT";
  layer.batch = std::stoll(cells[3]);
  layer.in_channels = std::stoll(cells[4]);
  layer.out_channels = std::stoll(cells[5]);
  layer.input = parse_sizes(cells[6]);
  layer.kernel = parse_sizes(cells[7]);
  layer.stride = parse_sizes(cells[8]);
  layer.padding = parse_sizes(cells[9]);
  layer.dilation = parse_sizes(cells[10]);
  layer.groups = std::stoll(cells[11]);
  layer.output_padding = parse_sizes(cells[12]);
  for (std::size_t d = 0; d < layer.dimensions(); ++d) {
    const std::int64_t reach = layer.dilation.at(d) * (layer.kernel.at(d) - 1) + 1;
    const std::int64_t padding = 2 * layer.padding.at(d);
    const std::int64_t stride = layer.stride.at(d);
    layer.output.push_back(layer.transposed
                               ? (layer.input[d] - 1) * stride - padding + reach + layer.output_padding.at(d)
                               : (layer.input[d] + padding - reach) / stride + 1);
  }
  return layer;
}

/// Data for a layer, channels-last: input [batch][spatial][channels], weights [out][kernel][in per group],
/// output = clamp(round(multiplier (sum (input - zero point) weight + bias)) + zero point).
///
/// Values span half their range, so that kernels whose 16-bit sums saturate (AVX2) are exact, too, and
/// mistakes show. No kernel's speed depends on the values.
class Problem {
 public:
  static constexpr float kInputScale = 0.02F;
  static constexpr float kOutputScale = 0.05F;
  static constexpr int kInputZeroPoint = 12;
  static constexpr int kOutputZeroPoint = 100;

  explicit Problem(const Layer& layer) : layer_(layer), random_(7) {
    const std::int64_t taps = product(layer.kernel) * layer.in_channels_per_group();
    input.resize(static_cast<std::size_t>(layer.batch * product(layer.input) * layer.in_channels));
    weights.resize(static_cast<std::size_t>(layer.out_channels * taps));
    for (auto& value : input) value = static_cast<std::uint8_t>(uniform(0, 127));
    for (auto& value : weights) value = static_cast<std::int8_t>(uniform(-63, 63));
    double terms = static_cast<double>(taps);
    if (layer.transposed) terms = std::max(1.0, terms / static_cast<double>(product(layer.stride)));
    for (std::int64_t k = 0; k < layer.out_channels; ++k) {
      const double spread = 36.0 * 63.0 * std::sqrt(terms);
      bias.push_back(uniform(-500, 500));
      multiplier.push_back(static_cast<float>(40 / spread * (0.8 + 0.0004 * uniform(0, 999))));
      weight_scale.push_back(multiplier.back() * kOutputScale / kInputScale);
    }
  }

  /// The greatest difference to a plain loop over a sample of outputs, half of them at the borders.
  int worst_difference(const std::vector<std::uint8_t>& output) {
    int worst = 0;
    for (int sample = 0; sample < 300; ++sample) {
      const std::int64_t n = uniform(0, static_cast<int>(layer_.batch) - 1);
      const std::int64_t k = uniform(0, static_cast<int>(layer_.out_channels) - 1);
      Sizes at;
      std::int64_t index = n;
      for (const std::int64_t size : layer_.output) {
        const int last = static_cast<int>(size) - 1;
        const int where = uniform(0, 3);
        at.push_back(where == 0 ? 0 : where == 1 ? last : uniform(0, last));
        index = index * size + at.back();
      }
      const int actual = output[static_cast<std::size_t>(index * layer_.out_channels + k)];
      worst = std::max(worst, std::abs(expected(n, at, k) - actual));
    }
    return worst;
  }

  std::vector<std::uint8_t> input;
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
  std::vector<float> weight_scale;

 private:
  int uniform(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<std::uint32_t>(high - low + 1));
  }

  // The position of the input that this tap of this output reads; -1 for none.
  std::int64_t source(const Sizes& output, const Sizes& tap) const {
    std::int64_t position = 0;
    for (std::size_t d = 0; d < layer_.dimensions(); ++d) {
      std::int64_t at = 0;
      if (layer_.transposed) {
        const std::int64_t spread = output[d] + layer_.padding[d] - tap[d] * layer_.dilation[d];
        if (spread < 0 || spread % layer_.stride[d] != 0) return -1;
        at = spread / layer_.stride[d];
      } else {
        at = output[d] * layer_.stride[d] - layer_.padding[d] + tap[d] * layer_.dilation[d];
      }
      if (at < 0 || at >= layer_.input[d]) return -1;
      position = position * layer_.input[d] + at;
    }
    return position;
  }

  int expected(std::int64_t n, const Sizes& output, std::int64_t k) const {
    const std::int64_t channels = layer_.in_channels_per_group();
    const std::int64_t first_channel = k / layer_.out_channels_per_group() * channels;
    const std::int64_t taps = product(layer_.kernel);
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < taps; ++t) {
      Sizes tap(layer_.dimensions());
      std::int64_t rest = t;
      for (std::size_t d = layer_.dimensions(); d-- > 0; rest /= layer_.kernel[d]) {
        tap[d] = rest % layer_.kernel[d];
      }
      const std::int64_t position = source(output, tap);
      if (position < 0) continue;
      const std::uint8_t* pixel = &input[static_cast<std::size_t>(
          (n * product(layer_.input) + position) * layer_.in_channels + first_channel)];
      const std::int8_t* weight = &weights[static_cast<std::size_t>((k * taps + t) * channels)];
      for (std::int64_t c = 0; c < channels; ++c) sum += (pixel[c] - kInputZeroPoint) * weight[c];
    }
    const auto at = static_cast<std::size_t>(k);
    const double value =
        std::nearbyint(static_cast<double>(multiplier[at]) * static_cast<double>(sum + bias[at]));
    return static_cast<int>(std::clamp(value + kOutputZeroPoint, 0.0, 255.0));
  }

  Layer layer_;
  std::mt19937 random_;
};

struct Timing {
  double median_us;
  double min_us;
};

inline double seconds_of(const std::function<void()>& call, std::int64_t count = 1) {
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < count; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// As `qconv bench` does it: one call to warm up, then 5 repeats of at least 50 ms. A call of more than half
/// a second is timed once.
inline Timing time_calls(const std::function<void()>& call) {
  constexpr double kRepeat = 0.05;
  seconds_of(call);
  double seconds = seconds_of(call);
  if (seconds > 0.5) return {seconds * 1e6, seconds * 1e6};
  std::int64_t count = 1;
  while (seconds < kRepeat / 2) {
    count *= 2;
    seconds = seconds_of(call, count);
  }
  count = 1 + static_cast<std::int64_t>(1.05 * kRepeat * static_cast<double>(count) / seconds);
  std::vector<double> means;
  for (int repeat = 0; repeat < 5; ++repeat) {
    means.push_back(seconds_of(call, count) * 1e6 / static_cast<double>(count));
  }
  std::sort(means.begin(), means.end());
  return {means[means.size() / 2], means.front()};
}

}  // namespace peer
