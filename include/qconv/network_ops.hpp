#pragma once

#include <optional>
#include <span>

#include <qconv/export.hpp>
#include <qconv/ops.hpp>
#include <qconv/pooling.hpp>
#include <qconv/resize.hpp>
#include <qconv/tensor.hpp>
#include <qconv/unary.hpp>

/// The int8 operators a network needs besides convolutions, named as in `torch.ops.quantized`. Tensors are
/// quint8 or qint8, quantized per tensor; results have the (first) input's dtype. Results of rank 3 to 5 lie
/// channels-last in memory, but element-wise results keep the memory format of their (first) input.
///
/// The formulas are exact: every product, sum and quotient of floats is rounded to float32 on its own, rint
/// rounds half to even, `clamp` limits to the dtype's range, and `q` below is the input's integer, `z` its
/// zero point, `s` float(its scale); `so`, `zo` those of the output. Results do not depend on threads or
/// processor.
///
/// Everything throws ValueError or TypeError with the operator's name, what it got and what it expected.
namespace qconv::ops {

/// Parameters of an output; the (first) input's where absent.
using OutputScale = std::optional<double>;
using OutputZeroPoint = std::optional<std::int64_t>;

/// clamp(rint((s * (q - z)) * (1 / so)) + zo): dequantizes and quantizes again, also to the other dtype.
QCONV_API Tensor requantize(const Tensor& qx, double output_scale, std::int64_t output_zero_point,
                            OutputDType output_dtype = std::nullopt);

/// clamp(rint((sa * (a - za) + sb * (b - zb)) * (1 / so)) + zo), with NumPy's broadcasting. Both inputs have
/// one dtype.
QCONV_API Tensor add(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point);
/// The same, never below zo.
QCONV_API Tensor add_relu(const Tensor& qa, const Tensor& qb, double output_scale,
                          std::int64_t output_zero_point);

/// The same with a difference.
QCONV_API Tensor sub(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point);
/// clamp(rint(float((a - za) * (b - zb)) * m) + zo) with m = float(sa * sb / so), the scales in double. Both
/// inputs have one dtype; NumPy's broadcasting.
QCONV_API Tensor mul(const Tensor& qa, const Tensor& qb, double output_scale, std::int64_t output_zero_point);
/// The same, never below zo.
QCONV_API Tensor mul_relu(const Tensor& qa, const Tensor& qb, double output_scale,
                          std::int64_t output_zero_point);

/// clamp(rint(f(s * (q - z)) * (1 / so)) + zo), f computed in float64 and rounded to float32: a table of 256
/// entries. Where f is not defined (log below 0), zo.
QCONV_API Tensor unary(const Tensor& qx, const Unary& function, double output_scale,
                       std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);

/// clamp(rint(a[c] * (q - z) + b[c]) + zo) per channel (dimension 1) with f[c] = weight[c] / sqrt(var[c] +
/// eps), a[c] = float(f[c] * (s / so)) and b[c] = float((bias[c] - mean[c] * f[c]) / so), everything but a
/// and b in double. `weight` and `bias` default to 1 and 0.
QCONV_API Tensor batch_norm(const Tensor& qx, const Tensor& running_mean, const Tensor& running_var,
                            const Bias& weight, const Bias& bias, double eps, double output_scale,
                            std::int64_t output_zero_point);
/// The same, never below zo.
QCONV_API Tensor batch_norm_relu(const Tensor& qx, const Tensor& running_mean, const Tensor& running_var,
                                 const Bias& weight, const Bias& bias, double eps, double output_scale,
                                 std::int64_t output_zero_point);

/// max(q, z).
QCONV_API Tensor relu(const Tensor& qx);
/// q limited to the quantized `min` and `max`; parameters stay. Throws ValueError when min exceeds max.
QCONV_API Tensor clamp(const Tensor& qx, std::optional<double> min, std::optional<double> max);

/// The tensors one after the other along `dim`, each requantized (as `requantize`) to the output's
/// parameters; those that have them already are copied. One dtype; all other sizes equal.
QCONV_API Tensor cat(std::span<const Tensor> qxs, int dim, OutputScale output_scale = {},
                     OutputZeroPoint output_zero_point = {});
/// The same, never below zo.
QCONV_API Tensor cat_relu(std::span<const Tensor> qxs, int dim, OutputScale output_scale = {},
                          OutputZeroPoint output_zero_point = {});

/// functional::pad: `value` is quantized with the input's parameters, which stay.
QCONV_API Tensor pad(const Tensor& qx, std::span<const std::int64_t> pad,
                     PaddingMode mode = PaddingMode::zeros, double value = 0);

/// The largest integer in each window; parameters stay. A window wholly in the padding gives the dtype's
/// lowest integer.
QCONV_API Tensor max_pool(const Tensor& qx, const Pooling& pooling);

/// clamp(rint(float(sum) * m) + zo) with the exact integer sum = sum over the in-bounds taps of (q - z) and m
/// = float(double(input scale) / double(output scale) / divisor): the padding counts as real zeros. A divisor
/// of 0 gives zo. Windows are limited to 2^23 elements.
QCONV_API Tensor avg_pool(const Tensor& qx, const Pooling& pooling, OutputScale output_scale = {},
                          OutputZeroPoint output_zero_point = {});
/// The same formula over the windows of functional::adaptive_avg_pool.
QCONV_API Tensor adaptive_avg_pool(const Tensor& qx, const IntList& output_size,
                                   OutputScale output_scale = {}, OutputZeroPoint output_zero_point = {});
QCONV_API Tensor global_avg_pool(const Tensor& qx, OutputScale output_scale = {},
                                 OutputZeroPoint output_zero_point = {});

/// nearest copies integers (requantized when the parameters differ). linear and cubic:
/// clamp(rint(v * m) + zo) with v = sum_d w_d * (sum_h w_h * (sum_w w_w * float(q - z))) in float32, taps in
/// ascending order, weights computed in float64 and rounded to float32, and m = float(double(input scale) /
/// double(output scale)).
QCONV_API Tensor interpolate(const Tensor& qx, const Resize& resize, OutputScale output_scale = {},
                             OutputZeroPoint output_zero_point = {});

/// Packs a weight (out_features, in_features; qint8, per tensor or per channel on axis 0) and an optional
/// float32 bias as a convolution of one tap, which the int8 engines run.
QCONV_API PackedParams linear_prepack(const Tensor& weight, const Bias& bias, const PrepackOptions& = {});
/// The weight and bias as linear_prepack got them.
QCONV_API Unpacked linear_unpack(const PackedParams& packed);
/// qx (..., in_features), result (..., out_features), row major. Arithmetic as ops::conv1d.
QCONV_API Tensor linear(const Tensor& qx, const PackedParams& packed, double output_scale,
                        std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);
/// The same, never below zo.
QCONV_API Tensor linear_relu(const Tensor& qx, const PackedParams& packed, double output_scale,
                             std::int64_t output_zero_point, OutputDType output_dtype = std::nullopt);

}  // namespace qconv::ops
