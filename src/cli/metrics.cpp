#include "cli/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/check.hpp"

namespace qconv::cli {

double psnr_db(const Tensor& image, const Tensor& target) {
  check(image.sizes() == target.sizes(), "PSNR needs images of equal sizes, got {} and {}",
        image.sizes().to_string(), target.sizes().to_string());
  const Tensor dense_a = image.contiguous();
  const Tensor dense_b = target.contiguous();
  const std::uint8_t* a = dense_a.data<std::uint8_t>();
  const std::uint8_t* b = dense_b.data<std::uint8_t>();
  double sum = 0;
  for (std::int64_t i = 0; i < dense_a.numel(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  if (sum == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(dense_a.numel()) / sum);
}

Tensor to_image(const Tensor& image) {
  const Tensor dense = image.contiguous();
  const float* from = dense.data<float>();
  Tensor result = Tensor::empty(dense.sizes(), DType::uint8);
  std::uint8_t* to = result.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    // The comparison turns NaN into black.
    const float limited = from[i] > 0 ? std::min(from[i], 1.0F) : 0.0F;
    to[i] = static_cast<std::uint8_t>(std::rint(limited * 255));
  }
  return result;
}

std::vector<std::int64_t> top_k(const float* scores, std::int64_t count, std::int64_t k) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto middle = order.begin() + std::min(k, count);
  const auto score = [&](std::int64_t i) {  // NaN, which has no order, comes last
    return std::isnan(scores[i]) ? -std::numeric_limits<float>::infinity() : scores[i];
  };
  std::partial_sort(order.begin(), middle, order.end(), [&](std::int64_t a, std::int64_t b) {
    return score(a) > score(b) || (score(a) == score(b) && a < b);
  });
  order.erase(middle, order.end());
  return order;
}

}  // namespace qconv::cli
