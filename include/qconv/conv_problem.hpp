#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/dtype.hpp>
#include <qconv/export.hpp>
#include <qconv/shape.hpp>

namespace qconv {

/// One value per spatial dimension, always three (depth, height, width). Problems of fewer dimensions have
/// neutral values in front, so that 1-D, 2-D and 3-D are one problem.
using Spatial = std::array<std::int64_t, 3>;

/// What is read beyond the border of the input.
enum class PaddingMode { zeros, reflect, replicate, circular };
QCONV_API std::string_view to_string(PaddingMode mode) noexcept;
/// Throws ValueError for a name that is none of "zeros", "reflect", "replicate", "circular".
QCONV_API PaddingMode parse_padding_mode(std::string_view name);

/// What happens to the sum before it is rounded to the output type.
enum class PostOp { none, relu, add, add_relu };
QCONV_API std::string_view to_string(PostOp post_op) noexcept;
constexpr bool has_relu(PostOp p) noexcept { return p == PostOp::relu || p == PostOp::add_relu; }
constexpr bool has_add(PostOp p) noexcept { return p == PostOp::add || p == PostOp::add_relu; }

/// The shape of a convolution without its input: what is known when weights are packed.
struct QCONV_API ConvGeometry {
  int ndim = 2;  ///< spatial dimensions: 1, 2 or 3
  bool transposed = false;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  std::int64_t groups = 1;
  Spatial kernel{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial padding_begin{0, 0, 0};
  Spatial padding_end{0, 0, 0};
  Spatial dilation{1, 1, 1};
  Spatial output_padding{0, 0, 0};  ///< transposed only
  PaddingMode padding_mode = PaddingMode::zeros;

  std::int64_t in_channels_per_group() const noexcept { return in_channels / groups; }
  std::int64_t out_channels_per_group() const noexcept { return out_channels / groups; }
  std::int64_t taps() const noexcept { return kernel[0] * kernel[1] * kernel[2]; }
  /// Multiply-adds behind one output value.
  std::int64_t reduction() const noexcept { return taps() * in_channels_per_group(); }

  /// Weight sizes as PyTorch lays them out: (OC, IC / groups, k...) or, transposed, (IC, OC / groups, k...).
  Shape weight_sizes() const;
  /// Output sizes; any may be zero or negative when the input is too small.
  Spatial output_spatial(const Spatial& input) const noexcept;
  /// "conv2d" or "conv_transpose2d".
  std::string name() const;
  /// The last `ndim` values of a Spatial.
  std::span<const std::int64_t> used(const Spatial& s) const noexcept {
    return std::span(s).last(static_cast<std::size_t>(ndim));
  }

  /// Throws ValueError, in the name of `who`, for anything that no input could make valid: a stride or
  /// dilation below 1, negative padding, groups that do not divide the channels, output padding not below
  /// stride or dilation, values past 2^31.
  void validate(std::string_view who) const;
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

/// How the weights of a problem are quantized.
enum class WeightScheme { per_tensor, per_channel };

/// One convolution, whole: geometry, input size and element types. It is what engines accept, tests list, the
/// benchmark runs and bug reports quote; `to_string` and `parse` are each other's inverse.
///
///     conv2d n1 c64 k128 g1 i56x56 f3x3 s2x2 p1x1 d1x1 w:channel relu
///
/// Tokens: n batch, c input channels, k output channels, g groups, i input size, f kernel (filter), s stride,
/// p padding, e end padding when it differs, d dilation, o output padding, m:MODE padding mode, x:DTYPE and
/// y:DTYPE when not quint8, w:tensor or w:channel, zw when weight zero points are not all 0, nobias, and
/// relu, add or add_relu. One number instead of several counts for all dimensions (s2). Omitted tokens have
/// their neutral value; only i, c and k must be there.
struct QCONV_API ConvProblem {
  ConvGeometry geometry;
  std::int64_t batch = 1;
  Spatial input{1, 1, 1};
  DType input_dtype = DType::quint8;   ///< quint8 or qint8
  DType output_dtype = DType::quint8;  ///< quint8 or qint8
  WeightScheme weight_scheme = WeightScheme::per_channel;
  bool weight_zero_points = false;  ///< whether any weight zero point differs from 0
  bool bias = true;
  PostOp post_op = PostOp::none;

  Spatial output() const noexcept { return geometry.output_spatial(input); }
  Shape input_sizes() const;   ///< (N, C, spatial...)
  Shape output_sizes() const;  ///< (N, K, spatial...)
  /// Dense multiply-adds: each output value's full reduction, taps in the padding included; for a transposed
  /// convolution, each input value's. The largest int64 when there are more.
  std::int64_t multiply_adds() const noexcept;

  /// Throws ValueError or TypeError, in the name of `who`: geometry.validate, a non-positive output size with
  /// a non-empty batch, reflect padding not below the input size, a tensor that would not fit memory, dtypes
  /// other than the two.
  void validate(std::string_view who) const;

  std::string to_string() const;
  /// Throws ValueError naming the token that is wrong. The result is validated.
  static ConvProblem parse(std::string_view line);
  friend bool operator==(const ConvProblem&, const ConvProblem&) = default;
};

}  // namespace qconv
