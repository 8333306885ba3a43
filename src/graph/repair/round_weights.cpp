#include "graph/repair/round_weights.hpp"

#include <algorithm>
#include <cmath>

namespace qconv::graph {
namespace {

constexpr int kSweeps = 20;

// y += a x.
void add_scaled(float a, const float* x, float* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) y[i] += a * x[i];
}

}  // namespace

void descend(std::span<const float> matrix, std::span<const float> w, double scale, std::span<std::int8_t> q,
             std::span<float> gradient) {
  const std::size_t n = w.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool moved = false;
    for (std::size_t i = 0; i < n; ++i) {
      // Moving q by d moves e by -s d, and the error by s^2 d^2 G_ii - 2 s d (G e)_i.
      const double curvature = scale * static_cast<double>(matrix[i * n + i]);
      if (curvature <= 0) continue;  // an input that is always 0
      const double best = static_cast<double>(gradient[i]) / curvature;
      // A little more than half, or rounding of the gradient would move it back and forth.
      if (std::abs(best) < 0.501) continue;
      const double real = static_cast<double>(w[i]) / scale;
      // Next to where it rounds, so that data other than this finds the weights where they were.
      const double lowest = std::max(-128.0, std::floor(real) - 1);
      const double highest = std::min(127.0, std::ceil(real) + 1);
      if (lowest > highest) continue;
      const double now = q[i];
      const double next = std::clamp(now + std::nearbyint(best), lowest, highest);
      const double step = next - now;
      // Clamped moves may lead past the minimum.
      if (step == 0 || std::abs(best - step) >= std::abs(best)) continue;
      q[i] = static_cast<std::int8_t>(next);
      add_scaled(static_cast<float>(-scale * step), matrix.data() + i * n, gradient.data(), n);
      moved = true;
    }
    if (!moved) break;
  }
}

}  // namespace qconv::graph
