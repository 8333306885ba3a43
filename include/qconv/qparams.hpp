#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <qconv/dtype.hpp>
#include <qconv/export.hpp>

namespace qconv {

/// How the parameters of a quantized tensor are chosen. A tensor itself is one of the two affine schemes; the
/// symmetric ones are what an observer is asked for.
enum class QScheme { per_tensor_affine, per_channel_affine, per_tensor_symmetric, per_channel_symmetric };

/// PyTorch's name of the scheme: "per_tensor_affine", ...
QCONV_API std::string_view to_string(QScheme scheme) noexcept;
inline bool is_per_channel(QScheme s) noexcept {
  return s == QScheme::per_channel_affine || s == QScheme::per_channel_symmetric;
}
inline bool is_symmetric(QScheme s) noexcept {
  return s == QScheme::per_tensor_symmetric || s == QScheme::per_channel_symmetric;
}

/// The affine parameters of a quantized tensor: real = scale * (q - zero_point). One scale and zero point per
/// tensor, or one per index of dimension `axis`. Scales are kept in double precision and cast to float where
/// they are used.
struct QCONV_API QParams {
  std::vector<double> scales{1.0};
  std::vector<std::int64_t> zero_points{0};
  /// The channel dimension, or -1 for per-tensor parameters.
  int axis = -1;

  static QParams per_tensor(double scale, std::int64_t zero_point) { return {{scale}, {zero_point}, -1}; }
  static QParams per_channel(std::vector<double> scales, std::vector<std::int64_t> zero_points, int axis) {
    return {std::move(scales), std::move(zero_points), axis};
  }

  bool is_per_channel() const noexcept { return axis >= 0; }
  QScheme qscheme() const noexcept {
    return is_per_channel() ? QScheme::per_channel_affine : QScheme::per_tensor_affine;
  }
  friend bool operator==(const QParams&, const QParams&) = default;
};

}  // namespace qconv
