#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <qconv/conv_problem.hpp>
#include <qconv/tensor.hpp>

/// What the tensor functions and the int8 operators share: checks of their arguments.
namespace qconv::ops {

/// The memory format results have: channels-last where the rank allows it.
inline MemoryFormat natural_format(int rank) noexcept {
  return rank >= 3 && rank <= 5 ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

/// Throws unless `x` is defined and float32.
void check_float(std::string_view who, const Tensor& x, std::string_view what = "input");
/// Throws unless `x` is defined, quint8 or qint8, and quantized per tensor.
void check_int8(std::string_view who, const Tensor& x, std::string_view what = "input");

/// The dimension, counted from the end where negative. Throws unless there is one of that number.
int wrap_dim(std::string_view who, std::int64_t dim, int rank);

/// The sizes of an (N, C, spatial...) tensor, neutral dimensions in front.
struct Volume {
  int ndim;  ///< spatial dimensions
  std::int64_t batch;
  std::int64_t channels;
  Spatial spatial;

  std::int64_t positions() const noexcept { return spatial[0] * spatial[1] * spatial[2]; }
  Shape sizes() const;
  Volume with_spatial(const Spatial& other) const noexcept { return {ndim, batch, channels, other}; }
};
/// Throws unless `x` has rank 3, 4 or 5.
Volume volume_of(std::string_view who, const Tensor& x);

/// Per-tensor parameters as the arithmetic uses them.
struct Affine {
  float scale;
  float inverse;  ///< 1 / scale
  std::int32_t zero_point;
  std::int32_t lo, hi;  ///< the dtype's range
};
/// Of a quint8 or qint8 tensor quantized per tensor.
Affine affine_of(const Tensor& x);

/// The input's parameters with those given in their place, checked.
QParams output_qparams(std::string_view who, const Tensor& input, std::optional<double> scale,
                       std::optional<std::int64_t> zero_point);

/// An uninitialized tensor of `sizes` with the dtype and quantization parameters of `like`.
Tensor empty_like(const Tensor& like, const Shape& sizes, MemoryFormat format);

/// f(T{}) with T the element type of quint8 or qint8.
template <class F>
decltype(auto) with_int8_type(DType dtype, const F& f) {
  return dtype == DType::quint8 ? f(std::uint8_t{}) : f(std::int8_t{});
}

}  // namespace qconv::ops
