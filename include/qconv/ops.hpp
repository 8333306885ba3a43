#pragma once

#include <optional>
#include <string>

#include <qconv/export.hpp>
#include <qconv/int_list.hpp>
#include <qconv/packed_params.hpp>
#include <qconv/tensor.hpp>

/// PyTorch's `torch.ops.quantized` convolutions, by name. Layouts are PyTorch's: activations (N, C,
/// spatial...), weights (OC, IC / groups, kernel...) or, transposed, (IC, OC / groups, kernel...). Results
/// lie channels-last in memory.
///
/// Everything throws ValueError or TypeError with the operator's name, what it got and what it expected.
namespace qconv::ops {

using Bias = std::optional<Tensor>;

/// What prepacking can be told beyond PyTorch's arguments.
struct PrepackOptions {
  PaddingMode padding_mode = PaddingMode::zeros;
  RequantRule rule = RequantRule::fbgemm;
  /// "native" or "reference"; empty for the process-wide choice (QCONV_ENGINE, else the first that accepts).
  std::string engine = {};
};

/// Packs weights (qint8; per tensor, or per channel on axis 0) and an optional float32 bias of OC elements.
/// `padding` also takes two values per dimension, "same" and "valid". Throws also when some accumulator could
/// leave int32.
QCONV_API PackedParams conv1d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                      const Padding& padding, const IntList& dilation, std::int64_t groups,
                                      const PrepackOptions& = {});
QCONV_API PackedParams conv2d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                      const Padding& padding, const IntList& dilation, std::int64_t groups,
                                      const PrepackOptions& = {});
QCONV_API PackedParams conv3d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                      const Padding& padding, const IntList& dilation, std::int64_t groups,
                                      const PrepackOptions& = {});
/// PyTorch's older name of conv2d_prepack.
QCONV_API PackedParams conv_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                    const Padding& padding, const IntList& dilation, std::int64_t groups,
                                    const PrepackOptions& = {});

/// Transposed: per-channel weights have axis 1, that is OC / groups scales, which every group uses. The
/// padding mode is always zeros.
QCONV_API PackedParams conv_transpose1d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                                const Padding& padding, const IntList& output_padding,
                                                const IntList& dilation, std::int64_t groups,
                                                const PrepackOptions& = {});
QCONV_API PackedParams conv_transpose2d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                                const Padding& padding, const IntList& output_padding,
                                                const IntList& dilation, std::int64_t groups,
                                                const PrepackOptions& = {});
QCONV_API PackedParams conv_transpose3d_prepack(const Tensor& weight, const Bias& bias, const IntList& stride,
                                                const Padding& padding, const IntList& output_padding,
                                                const IntList& dilation, std::int64_t groups,
                                                const PrepackOptions& = {});

/// The weight and bias as they were packed. The forms of other dimensions refuse the object.
using Unpacked = std::pair<Tensor, std::optional<Tensor>>;
QCONV_API Unpacked conv1d_unpack(const PackedParams& packed);
QCONV_API Unpacked conv2d_unpack(const PackedParams& packed);
QCONV_API Unpacked conv3d_unpack(const PackedParams& packed);
QCONV_API Unpacked conv_unpack(const PackedParams& packed);
QCONV_API Unpacked conv_transpose1d_unpack(const PackedParams& packed);
QCONV_API Unpacked conv_transpose2d_unpack(const PackedParams& packed);
QCONV_API Unpacked conv_transpose3d_unpack(const PackedParams& packed);

/// Convolution of a quantized tensor (quint8 or qint8, per tensor). The output has the given parameters and
/// the input's dtype, unless `output_dtype` says otherwise.
using OutputDType = std::optional<DType>;
QCONV_API Tensor conv1d(const Tensor& qx, const PackedParams& packed, double output_scale,
                        std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv2d(const Tensor& qx, const PackedParams& packed, double output_scale,
                        std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv3d(const Tensor& qx, const PackedParams& packed, double output_scale,
                        std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
/// The same, never below the output's zero point.
QCONV_API Tensor conv1d_relu(const Tensor& qx, const PackedParams& packed, double output_scale,
                             std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv2d_relu(const Tensor& qx, const PackedParams& packed, double output_scale,
                             std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv3d_relu(const Tensor& qx, const PackedParams& packed, double output_scale,
                             std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv_transpose1d(const Tensor& qx, const PackedParams& packed, double output_scale,
                                  std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv_transpose2d(const Tensor& qx, const PackedParams& packed, double output_scale,
                                  std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
QCONV_API Tensor conv_transpose3d(const Tensor& qx, const PackedParams& packed, double output_scale,
                                  std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);

/// Convolution plus a quantized tensor of the output's sizes and dtype, added as real numbers before
/// rounding. The result is a fresh tensor; `accum` is not touched (PyTorch overwrites it).
QCONV_API Tensor conv1d_add(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                            double output_scale, std::int64_t output_zero_point);
QCONV_API Tensor conv2d_add(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                            double output_scale, std::int64_t output_zero_point);
QCONV_API Tensor conv3d_add(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                            double output_scale, std::int64_t output_zero_point);
QCONV_API Tensor conv1d_add_relu(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                                 double output_scale, std::int64_t output_zero_point);
QCONV_API Tensor conv2d_add_relu(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                                 double output_scale, std::int64_t output_zero_point);
QCONV_API Tensor conv3d_add_relu(const Tensor& qx, const Tensor& accum, const PackedParams& packed,
                                 double output_scale, std::int64_t output_zero_point);

/// float32 in, float32 out: the input is quantized to quint8 over its own range (0..127 with `reduce_range`),
/// the convolution's output is quantized with the same parameters, as PyTorch does, and dequantized.
QCONV_API Tensor conv1d_dynamic(const Tensor& x, const PackedParams& packed, bool reduce_range = false);
QCONV_API Tensor conv2d_dynamic(const Tensor& x, const PackedParams& packed, bool reduce_range = false);
QCONV_API Tensor conv3d_dynamic(const Tensor& x, const PackedParams& packed, bool reduce_range = false);
QCONV_API Tensor conv_transpose1d_dynamic(const Tensor& x, const PackedParams& packed,
                                          bool reduce_range = false);
QCONV_API Tensor conv_transpose2d_dynamic(const Tensor& x, const PackedParams& packed,
                                          bool reduce_range = false);
QCONV_API Tensor conv_transpose3d_dynamic(const Tensor& x, const PackedParams& packed,
                                          bool reduce_range = false);

}  // namespace qconv::ops
