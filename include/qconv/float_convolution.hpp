#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <qconv/conv_problem.hpp>
#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// What follows a float convolution: y = limit(conv(x) + bias + addend), the addend where there is one and
/// `limit` to [min, max]; a ReLU is [0, infinity].
struct QCONV_API FloatPostOp {
  bool add = false;
  std::optional<float> min = std::nullopt;
  std::optional<float> max = std::nullopt;

  static FloatPostOp relu() { return {.min = 0.0F}; }
  static FloatPostOp clip(float min, float max) { return {.min = min, .max = max}; }
  friend bool operator==(const FloatPostOp&, const FloatPostOp&) = default;
};

/// A float32 convolution of any dimension, transposed or not, with its weights made ready once: the float
/// counterpart of ConvPackedParams. Runs on oneDNN where the build has it and it has a fast implementation,
/// else on qconv's own loops. Immutable; one object may be run from many threads at once. Plans for the last
/// few input sizes are kept.
class QCONV_API FloatConvolution {
 public:
  /// `geometry` with channels and kernel set to fit `weight` (float32, ConvGeometry::weight_sizes) and
  /// `bias` (float32, one per output channel). Throws ValueError or TypeError, in the name of `who`
  /// (geometry.name() when empty).
  FloatConvolution(const ConvGeometry& geometry, const Tensor& weight, const std::optional<Tensor>& bias,
                   const FloatPostOp& post_op = {}, std::string_view who = {});
  ~FloatConvolution();
  FloatConvolution(FloatConvolution&&) noexcept;
  FloatConvolution& operator=(FloatConvolution&&) noexcept;

  /// `input` float32 (N, C, spatial...); `addend` float32 of the output's sizes, given exactly when the post
  /// op adds. The result is channels-last.
  Tensor run(const Tensor& input, const Tensor& addend = {}) const;
  /// The same into `output`: float32, channels-last, of the output's sizes, and neither `input` nor
  /// `addend`.
  void run_into(Tensor& output, const Tensor& input, const Tensor& addend = {}) const;
  /// (N, out_channels, spatial...) for an input of these sizes; throws ValueError when it does not fit.
  Shape output_sizes(const Shape& input) const;

  const ConvGeometry& geometry() const noexcept;
  const FloatPostOp& post_op() const noexcept;
  /// What runs an input of these sizes: "onednn jit:avx512_core", "plain", ...
  std::string kernel(const Shape& input) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// y = limit(x W^T + bias + addend) with W (out_features, in_features), made ready once. Inputs have sizes
/// (..., in_features), outputs (..., out_features), both row major.
class QCONV_API FloatLinear {
 public:
  /// Throws ValueError or TypeError, in the name of `who`, unless `weight` is float32 and 2-D and `bias`
  /// float32 with out_features elements.
  FloatLinear(const Tensor& weight, const std::optional<Tensor>& bias, const FloatPostOp& post_op = {},
              std::string_view who = "linear");

  Tensor run(const Tensor& input, const Tensor& addend = {}) const;
  std::int64_t in_features() const noexcept { return convolution_.geometry().in_channels; }
  std::int64_t out_features() const noexcept { return convolution_.geometry().out_channels; }

 private:
  FloatConvolution convolution_;  // 1 x 1 over the rows
  std::string who_;
};

/// What float convolutions run on: "onednn 2.6.3" or "plain".
QCONV_API std::string float_library();

}  // namespace qconv
