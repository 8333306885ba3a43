#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/int_list.hpp>

namespace qconv {

/// How values between input elements are found: the nearest one, linear in every spatial dimension (2 taps
/// each), or cubic (4 taps each).
enum class ResizeMode { nearest, linear, cubic };

/// Where output element `o` lies on the input, in ONNX's names. With `size_in` and `size_out` elements and
/// `scale` = size_out / size_in unless given:
///   half_pixel          (o + 0.5) / scale - 0.5
///   pytorch_half_pixel  the same, but 0 when size_out is 1
///   align_corners       o * (size_in - 1) / (size_out - 1), 0 when size_out is 1
///   asymmetric          o / scale
enum class CoordinateMode { half_pixel, pytorch_half_pixel, align_corners, asymmetric };

/// Which neighbour is nearest, in ONNX's names.
enum class NearestMode { round_prefer_floor, round_prefer_ceil, floor, ceil };

/// A change of the spatial sizes of an (N, C, spatial...) tensor. Neighbours outside the input are its border
/// elements.
struct QCONV_API Resize {
  /// The output's spatial sizes; or, when absent, `scale_factor` gives floor(input * scale_factor).
  std::optional<IntList> size = std::nullopt;
  /// One factor, or one per spatial dimension; empty when `size` alone decides. With both, `size` decides the
  /// sizes and the factors decide the coordinates.
  std::vector<double> scale_factor = {};
  ResizeMode mode = ResizeMode::nearest;
  CoordinateMode coordinates = CoordinateMode::asymmetric;
  NearestMode nearest_mode = NearestMode::floor;
  /// The cubic kernel's parameter: PyTorch and ONNX take -0.75.
  double cubic_coeff_a = -0.75;

  /// What PyTorch's interpolate does in `mode`: "nearest", "nearest-exact", "linear", "bilinear",
  /// "trilinear" or "bicubic". `align_corners` is for the last four. Throws ValueError for another name.
  static Resize pytorch(std::string_view mode, bool align_corners = false);
};

/// "nearest", "linear", "cubic"; ONNX's names.
QCONV_API std::string_view to_string(ResizeMode mode) noexcept;
QCONV_API std::string_view to_string(CoordinateMode mode) noexcept;
QCONV_API std::string_view to_string(NearestMode mode) noexcept;
/// The value of that name; ValueError, listing the names there are, for any other.
QCONV_API ResizeMode parse_resize_mode(std::string_view name);
QCONV_API CoordinateMode parse_coordinate_mode(std::string_view name);
QCONV_API NearestMode parse_nearest_mode(std::string_view name);

}  // namespace qconv
