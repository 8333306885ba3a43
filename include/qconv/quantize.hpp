#pragma once

#include <cstdint>
#include <span>

#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// q = clamp(zero_point + rint(x * (1 / float(scale))), qmin, qmax) for each element of the float32 tensor
/// `input`, with `dtype` one of quint8, qint8, qint32. rint rounds half to even; infinities saturate and NaN
/// becomes qmin. The result is dense in the input's memory format. Formula: ATen's AffineQuantizerBase; the
/// product with the float reciprocal, not a division, decides ties.
///
/// Throws TypeError unless `input` is float32 and `dtype` is quantized; ValueError unless the scale is
/// positive and finite (also as a float, and its reciprocal too) and the zero point lies inside the dtype's
/// range.
QCONV_API Tensor quantize_per_tensor(const Tensor& input, double scale, std::int64_t zero_point, DType dtype);

/// The same with one scale and zero point per index of dimension `axis`. Throws also when the counts differ
/// from the size of that dimension or the axis is out of range.
QCONV_API Tensor quantize_per_channel(const Tensor& input, std::span<const double> scales,
                                      std::span<const std::int64_t> zero_points, int axis, DType dtype);
/// `scales` floating point and 1-D, `zero_points` integer and 1-D, as PyTorch takes them.
QCONV_API Tensor quantize_per_channel(const Tensor& input, const Tensor& scales, const Tensor& zero_points,
                                      int axis, DType dtype);

/// float(scale) * float(q - zero_point), the difference taken in integers. Dense in the input's memory
/// format.
QCONV_API Tensor dequantize(const Tensor& input);

/// What quantizing and dequantizing makes of a float32 tensor: (clamp(rint(x * (1 / scale)) + zero_point,
/// quant_min, quant_max) - zero_point) * scale in float32, with the scale cast to float first. Infinities
/// saturate and NaN becomes quant_min. Throws TypeError unless `input` is float32; ValueError unless the
/// scale is a positive finite float, the range holds more than one number and the zero point lies in it.
QCONV_API Tensor fake_quantize_per_tensor_affine(const Tensor& input, double scale, std::int64_t zero_point,
                                                 std::int64_t quant_min, std::int64_t quant_max);
/// The same with one scale and zero point per index of dimension `axis`.
QCONV_API Tensor fake_quantize_per_channel_affine(const Tensor& input, std::span<const double> scales,
                                                  std::span<const std::int64_t> zero_points, int axis,
                                                  std::int64_t quant_min, std::int64_t quant_max);

/// A quantized tensor over the memory of an integer one (uint8 -> quint8, int8 -> qint8, int32 -> qint32),
/// not copied.
QCONV_API Tensor make_quantized(const Tensor& integers, QParams qparams);

}  // namespace qconv
