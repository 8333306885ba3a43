#include "nn/init.hpp"

#include <cmath>
#include <mutex>
#include <random>

namespace qconv::nn {
namespace {

struct Generator {
  std::mutex mutex;
  std::mt19937 engine{static_cast<std::uint32_t>(67280421310721U)};  // PyTorch's default seed, its low half
};

Generator& generator() {
  static Generator instance;
  return instance;
}

}  // namespace

void manual_seed(std::uint64_t seed) {
  Generator& g = generator();
  const std::scoped_lock lock(g.mutex);
  g.engine.seed(static_cast<std::uint32_t>(seed));
}

Tensor uniform(const Shape& sizes, double low, double high) {
  Tensor t = Tensor::empty(sizes, float32);
  const auto from = static_cast<float>(low);
  const float width = static_cast<float>(high) - from;
  Generator& g = generator();
  const std::scoped_lock lock(g.mutex);
  float* values = t.mutable_data<float>();
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    // The low 24 bits are a float's worth of randomness in [0, 1). std::uniform_real_distribution may differ
    // from library to library.
    const float unit = static_cast<float>(g.engine() & 0xFFFFFFU) * 0x1p-24F;
    values[i] = std::fma(unit, width, from);  // PyTorch's builds fuse the two
  }
  return t;
}

std::int64_t fan_in(const Shape& weight_sizes) {
  std::int64_t taps = 1;
  for (int d = 2; d < weight_sizes.rank(); ++d) taps *= weight_sizes[d];
  return weight_sizes[1] * taps;
}

double kaiming_bound(std::int64_t fan_in) {
  const double gain = std::sqrt(2.0 / (1.0 + std::sqrt(5.0) * std::sqrt(5.0)));
  return std::sqrt(3.0) * (gain / std::sqrt(static_cast<double>(fan_in)));
}

double bias_bound(std::int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

}  // namespace qconv::nn
