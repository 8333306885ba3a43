#pragma once

#include <optional>
#include <span>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/int_list.hpp>
#include <qconv/pooling.hpp>
#include <qconv/resize.hpp>
#include <qconv/tensor.hpp>
#include <qconv/unary.hpp>

/// The tensor functions a float network is made of, in torch.nn.functional's names and argument order.
/// Tensors are float32 unless a function says otherwise; activations have sizes (N, C, spatial...) with a
/// batch, which may be empty. Results of rank 3 to 5 lie channels-last in memory, except those of
/// element-wise functions, which keep the memory format of their (first) input, and of `linear`.
///
/// Everything throws ValueError (sizes, values) or TypeError (dtypes), naming the function, what it got and
/// what it expected. Results do not depend on the number of threads.
namespace qconv::functional {

using Bias = std::optional<Tensor>;

/// Convolutions; weights (OC, IC / groups, kernel...). A network that runs more than once keeps a
/// FloatConvolution instead, which makes its weights ready once.
QCONV_API Tensor conv1d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                        const IntList& stride = 1, const Padding& padding = 0, const IntList& dilation = 1,
                        std::int64_t groups = 1, PaddingMode padding_mode = PaddingMode::zeros);
QCONV_API Tensor conv2d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                        const IntList& stride = 1, const Padding& padding = 0, const IntList& dilation = 1,
                        std::int64_t groups = 1, PaddingMode padding_mode = PaddingMode::zeros);
QCONV_API Tensor conv3d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                        const IntList& stride = 1, const Padding& padding = 0, const IntList& dilation = 1,
                        std::int64_t groups = 1, PaddingMode padding_mode = PaddingMode::zeros);
/// Transposed convolutions; weights (IC, OC / groups, kernel...).
QCONV_API Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                                  const IntList& stride = 1, const Padding& padding = 0,
                                  const IntList& output_padding = 0, std::int64_t groups = 1,
                                  const IntList& dilation = 1);
QCONV_API Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                                  const IntList& stride = 1, const Padding& padding = 0,
                                  const IntList& output_padding = 0, std::int64_t groups = 1,
                                  const IntList& dilation = 1);
QCONV_API Tensor conv_transpose3d(const Tensor& input, const Tensor& weight, const Bias& bias = {},
                                  const IntList& stride = 1, const Padding& padding = 0,
                                  const IntList& output_padding = 0, std::int64_t groups = 1,
                                  const IntList& dilation = 1);
/// input (..., in_features), weight (out_features, in_features), result (..., out_features), row major.
QCONV_API Tensor linear(const Tensor& input, const Tensor& weight, const Bias& bias = {});

/// max(x, 0); NaN stays.
QCONV_API Tensor relu(const Tensor& input);
/// min(max(x, min_val), max_val); NaN stays. Throws ValueError when min_val exceeds max_val.
QCONV_API Tensor hardtanh(const Tensor& input, double min_val = -1, double max_val = 1);
/// The same with limits that may be absent.
QCONV_API Tensor clamp(const Tensor& input, std::optional<double> min, std::optional<double> max);
/// Any function of one number, computed in float32 by the C library: a unit in the last place may differ
/// between systems.
QCONV_API Tensor unary(const Tensor& input, const Unary& function);
/// Functions of two numbers with NumPy's broadcasting. The result is channels-last when the input that has
/// its sizes, the first if both do, is. NaN in either input gives NaN.
QCONV_API Tensor add(const Tensor& a, const Tensor& b);
QCONV_API Tensor sub(const Tensor& a, const Tensor& b);
QCONV_API Tensor mul(const Tensor& a, const Tensor& b);
QCONV_API Tensor div(const Tensor& a, const Tensor& b);
QCONV_API Tensor pow(const Tensor& a, const Tensor& b);
QCONV_API Tensor minimum(const Tensor& a, const Tensor& b);
QCONV_API Tensor maximum(const Tensor& a, const Tensor& b);
/// The tensors one after the other along `dim`; all other sizes must be equal. Works on every dtype;
/// quantized tensors must share their per-tensor parameters (ops::cat requantizes).
QCONV_API Tensor cat(std::span<const Tensor> tensors, int dim = 0);

/// Every step[d]-th element from first[d] on, size[d] of them in each dimension d: a copy. Steps are not 0;
/// the elements must be there. Works on every dtype; quantized tensors keep their per-tensor parameters.
QCONV_API Tensor slice(const Tensor& input, const Shape& first, const Shape& step, const Shape& sizes);
/// The slices of dimension `dim` with these indices, in their order; negative ones count from the end. Works
/// on every dtype.
QCONV_API Tensor index_select(const Tensor& input, int dim, std::span<const std::int64_t> index);
/// The tensor repeated to `sizes`, as NumPy's broadcasting does: a copy.
QCONV_API Tensor expand(const Tensor& input, const Shape& sizes);

/// Adds elements around the border. `pad` is PyTorch's: begin and end of the last dimension, then of the one
/// before, and so on; negative numbers crop. PaddingMode::zeros is PyTorch's "constant" and writes `value`.
/// Reflection needs paddings smaller than the dimension, circular ones not larger. Works on every dtype; in a
/// quantized tensor (per tensor) `value` is quantized with its parameters, so that 0 gives the zero point.
QCONV_API Tensor pad(const Tensor& input, std::span<const std::int64_t> pad,
                     PaddingMode mode = PaddingMode::zeros, double value = 0);

/// The largest value in each window; NaN wins. A window that lies wholly in the padding gives the lowest
/// value there is. Also on quint8 and qint8 (per tensor), which keep their parameters.
QCONV_API Tensor max_pool(const Tensor& input, const Pooling& pooling);
/// The mean of each window in float32: taps along the last dimension are summed, then those sums, in order,
/// and the total is divided by the divisor; a divisor of 0 gives 0. Quantized inputs keep their parameters:
/// ops::avg_pool.
QCONV_API Tensor avg_pool(const Tensor& input, const Pooling& pooling);
/// The forms of one rank, with PyTorch's arguments.
QCONV_API Tensor max_pool1d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            const IntList& dilation = 1, bool ceil_mode = false);
QCONV_API Tensor max_pool2d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            const IntList& dilation = 1, bool ceil_mode = false);
QCONV_API Tensor max_pool3d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            const IntList& dilation = 1, bool ceil_mode = false);
QCONV_API Tensor avg_pool1d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            bool ceil_mode = false, bool count_include_pad = true);
QCONV_API Tensor avg_pool2d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            bool ceil_mode = false, bool count_include_pad = true);
QCONV_API Tensor avg_pool3d(const Tensor& input, const IntList& kernel_size,
                            const std::optional<IntList>& stride = {}, const Padding& padding = 0,
                            bool ceil_mode = false, bool count_include_pad = true);
/// Means over windows [floor(o * in / out), ceil((o + 1) * in / out)), which make an output of `output_size`.
QCONV_API Tensor adaptive_avg_pool(const Tensor& input, const IntList& output_size);
/// The mean of every channel: adaptive_avg_pool to 1.
QCONV_API Tensor global_avg_pool(const Tensor& input);

/// Changes the spatial sizes. Linear and cubic results are sums of products in float32, nested as written:
/// sum_d w_d * (sum_h w_h * (sum_w w_w * x)), weights computed in float64 and rounded to float32. Also on
/// quint8 and qint8 (per tensor), which keep their parameters: ops::interpolate.
QCONV_API Tensor interpolate(const Tensor& input, const Resize& resize);

/// exp(x - max) / sum over dimension `dim`, the sum in float32 in index order.
QCONV_API Tensor softmax(const Tensor& input, int dim);

/// Inference: x * (weight / sqrt(running_var + eps)) + (bias - running_mean * that factor) per channel
/// (dimension 1), the two factors computed in float64 and rounded to float32. `weight` and `bias` default to
/// 1 and 0.
QCONV_API Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                            const Bias& weight = {}, const Bias& bias = {}, double eps = 1e-5);

/// (x - mean) / sqrt(var + eps) * weight + bias over the slices along dimension `dim` (-1: the last), whose
/// size `weight` and `bias` (default 1 and 0) have. PyTorch's layer_norm over the last dimension; over
/// dimension 1 of (N, C, ...) it normalizes each position over its channels.
QCONV_API Tensor layer_norm(const Tensor& input, int dim = -1, const Bias& weight = {}, const Bias& bias = {},
                            double eps = 1e-5);
/// The same over the spatial positions of each channel of (N, C, spatial...).
QCONV_API Tensor instance_norm(const Tensor& input, const Bias& weight = {}, const Bias& bias = {},
                               double eps = 1e-5);
/// The mean over the dimensions `dims`, which stay with size 1 when `keepdim`: sums in float64.
QCONV_API Tensor mean(const Tensor& input, std::span<const std::int64_t> dims, bool keepdim = false);

/// The mean and the biased variance of each channel (dimension 1), float32, 1-D: sums in float64 in memory
/// order, rounded at the end. Throws ValueError for a tensor without values.
struct ChannelStatistics {
  Tensor mean;
  Tensor variance;
};
QCONV_API ChannelStatistics channel_statistics(const Tensor& input);

}  // namespace qconv::functional
