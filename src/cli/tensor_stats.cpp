#include "cli/tensor_stats.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace qconv::cli {
namespace {

template <class T>
TensorStats stats_as(const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  const T* values = dense.data<T>();
  TensorStats stats;
  stats.min = std::numeric_limits<double>::infinity();
  stats.max = -stats.min;
  std::int64_t finite = 0;
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    const auto x = static_cast<double>(values[i]);
    if (!std::isfinite(x)) {
      ++stats.not_finite;
      continue;
    }
    stats.min = std::min(stats.min, x);
    stats.max = std::max(stats.max, x);
    stats.mean += x;
    ++finite;
  }
  if (finite == 0) return {.not_finite = stats.not_finite};
  stats.mean /= static_cast<double>(finite);
  return stats;
}

template <class T>
std::string range_text(const std::vector<T>& values) {
  const auto [lo, hi] = std::minmax_element(values.begin(), values.end());
  return *lo == *hi ? fmt::format("{:.6g}", static_cast<double>(*lo))
                    : fmt::format("{:.4g} to {:.4g}", static_cast<double>(*lo), static_cast<double>(*hi));
}

}  // namespace

TensorStats stats_of(const Tensor& tensor) {
  if (tensor.is_quantized()) return stats_as<float>(tensor.dequantize());
  switch (tensor.dtype()) {
    case DType::float64:
      return stats_as<double>(tensor);
    case DType::int32:
      return stats_as<std::int32_t>(tensor);
    case DType::int64:
      return stats_as<std::int64_t>(tensor);
    case DType::uint8:
      return stats_as<std::uint8_t>(tensor);
    case DType::int8:
      return stats_as<std::int8_t>(tensor);
    default:
      return stats_as<float>(tensor);
  }
}

std::string describe(const QParams& qparams) {
  if (!qparams.is_per_channel()) {
    return fmt::format("scale {:.6g}, zero point {}", qparams.scales[0], qparams.zero_points[0]);
  }
  if (qparams.scales.empty()) return fmt::format("no channels, axis {}", qparams.axis);
  return fmt::format("{} scales {}, zero points {}, axis {}", qparams.scales.size(),
                     range_text(qparams.scales), range_text(qparams.zero_points), qparams.axis);
}

std::string sizes_text(const Shape& sizes) {
  if (sizes.empty()) return "scalar";
  std::vector<std::string> parts;
  for (const std::int64_t size : sizes) parts.push_back(size < 0 ? "?" : std::to_string(size));
  return fmt::format("{}", fmt::join(parts, "x"));
}

}  // namespace qconv::cli
