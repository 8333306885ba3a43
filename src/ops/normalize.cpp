// Softmax and batch normalization.
#include <algorithm>
#include <cmath>
#include <vector>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"
#include "tensor/dense_format.hpp"

namespace qconv {
namespace {

std::vector<float> channel_values(const Tensor& values, std::int64_t channels, std::string_view what) {
  ops::check_float("batch_norm", values, what);
  check(values.dim() == 1 && values.numel() == channels,
        "batch_norm: {} must have {} elements, one per channel, got sizes {}", what, channels,
        values.sizes());
  return values.to_vector<float>();
}

// Batch normalization as factor[c] * x + offset[c].
struct ChannelAffine {
  std::vector<double> factor;
  std::vector<double> offset;
};

ChannelAffine channel_affine(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                             const functional::Bias& weight, const functional::Bias& bias, double eps) {
  check(input.dim() >= 2, "batch_norm: expected sizes (N, C, ...), got {}", input.sizes());
  check(eps >= 0 && std::isfinite(eps), "batch_norm: eps must not be negative, got {}", eps);
  const std::int64_t channels = input.size(1);
  const std::vector<float> mean = channel_values(running_mean, channels, "running_mean");
  const std::vector<float> var = channel_values(running_var, channels, "running_var");
  const auto count = static_cast<std::size_t>(channels);
  const std::vector<float> gain =
      weight ? channel_values(*weight, channels, "weight") : std::vector<float>(count, 1.0F);
  const std::vector<float> shift =
      bias ? channel_values(*bias, channels, "bias") : std::vector<float>(count, 0.0F);
  ChannelAffine affine;
  for (std::size_t c = 0; c < count; ++c) {
    affine.factor.push_back(gain[c] / std::sqrt(var[c] + eps));
    affine.offset.push_back(shift[c] - mean[c] * affine.factor[c]);
  }
  return affine;
}

std::vector<float> rounded(const std::vector<double>& values, double scale) {
  std::vector<float> result;
  for (const double v : values) result.push_back(static_cast<float>(v * scale));
  return result;
}

// y = f(x, c) for every element, c its channel; x is dense, y has its memory format.
template <class T, class F>
void for_each_channel(ThreadPool& pool, const Tensor& x, Tensor& y, const F& f) {
  if (y.numel() == 0) return;
  const std::int64_t channels = y.size(1);
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  // Channels change every `step` elements, in memory order.
  const std::int64_t step = channels == 1 ? y.numel() / y.size(0) : y.strides()[1];
  const std::int64_t rows = y.numel() / (channels * step);
  parallel_chunks(pool, rows, std::max<std::int64_t>(1, 32768 / (channels * step)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      const std::int64_t at = row * channels * step;
                      if (step == 1) {
                        for (std::int64_t c = 0; c < channels; ++c) to[at + c] = f(from[at + c], c);
                        continue;
                      }
                      for (std::int64_t c = 0; c < channels; ++c) {
                        const std::int64_t first = at + c * step;
                        for (std::int64_t i = first; i < first + step; ++i) to[i] = f(from[i], c);
                      }
                    }
                  });
}

}  // namespace

namespace functional {
namespace {

// Softmax over `count` values, `step` apart, in place.
void softmax_run(float* x, std::int64_t count, std::int64_t step) {
  float most = x[0];
  for (std::int64_t i = 1; i < count; ++i) most = std::max(most, x[i * step]);
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    x[i * step] = std::exp(x[i * step] - most);
    sum += x[i * step];
  }
  for (std::int64_t i = 0; i < count; ++i) x[i * step] /= sum;
}

}  // namespace

Tensor softmax(const Tensor& input, int dim) {
  ops::check_float("softmax", input);
  const int rank = input.dim();
  check(dim >= -rank && dim < rank, "softmax: dimension {} is out of range for sizes {}", dim, input.sizes());
  const int at = dim < 0 ? dim + rank : dim;
  const MemoryFormat format = dense_format(input);
  Tensor y = input.clone(format);
  if (y.numel() == 0) return y;
  const std::int64_t count = y.sizes()[at];
  const std::int64_t step = count == 1 ? 1 : y.strides()[at];
  float* data = y.mutable_data<float>();
  // Dense memory: runs start wherever the index along `dim` is 0.
  const std::int64_t runs = y.numel() / count;
  parallel_chunks(*engines::float_pool(), runs, std::max<std::int64_t>(1, 4096 / count),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t run = begin; run < end; ++run)
                      softmax_run(data + run / step * step * count + run % step, count, step);
                  });
  return y;
}

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Bias& weight, const Bias& bias, double eps) {
  ops::check_float("batch_norm", input);
  const ChannelAffine affine = channel_affine(input, running_mean, running_var, weight, bias, eps);
  const std::vector<float> factor = rounded(affine.factor, 1);
  const std::vector<float> offset = rounded(affine.offset, 1);
  const MemoryFormat format = dense_format(input);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  for_each_channel<float>(
      *engines::float_pool(), input.contiguous(format), y,
      [a = factor.data(), b = offset.data()](float x, std::int64_t c) { return x * a[c] + b[c]; });
  return y;
}

ChannelStatistics channel_statistics(const Tensor& input) {
  ops::check_float("channel_statistics", input);
  check(input.dim() >= 2 && input.numel() > 0,
        "channel_statistics: expected sizes (N, C, ...) and some values, got {}", input.sizes());
  const Tensor x = input.contiguous(dense_format(input));
  const std::int64_t channels = x.size(1);
  const std::int64_t step = channels == 1 ? x.numel() / x.size(0) : x.strides()[1];
  const std::int64_t stride = channels * step;
  const std::int64_t per_channel = x.numel() / channels;
  Tensor mean = Tensor::empty({channels}, float32);
  Tensor variance = Tensor::empty({channels}, float32);
  float* means = mean.mutable_data<float>();
  float* variances = variance.mutable_data<float>();
  const auto* values = x.data<float>();
  parallel_chunks(*engines::float_pool(), channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      const auto sum = [&](const auto& term) {
        double total = 0;
        for (std::int64_t row = c * step; row < x.numel(); row += stride) {
          for (std::int64_t i = row; i < row + step; ++i) total += term(static_cast<double>(values[i]));
        }
        return total / static_cast<double>(per_channel);
      };
      const double m = sum([](double v) { return v; });
      means[c] = static_cast<float>(m);
      variances[c] = static_cast<float>(sum([m](double v) { return (v - m) * (v - m); }));
    }
  });
  return {std::move(mean), std::move(variance)};
}

}  // namespace functional

namespace ops {
namespace {

Tensor batch_norm_int8(const Tensor& qx, const ChannelAffine& affine, double scale, std::int64_t zero_point,
                       bool relu) {
  const QParams qparams = output_qparams("batch_norm", qx, scale, zero_point);
  const MemoryFormat format = dense_format(qx);
  const Tensor x = qx.contiguous(format);
  Tensor y = Tensor::empty_quantized(qx.sizes(), qx.dtype(), qparams, format);
  const Affine in = affine_of(x);
  const Affine out = affine_of(y);
  const std::vector<float> factor = rounded(affine.factor, qx.q_scale() / scale);
  std::vector<float> offset;
  for (const double v : affine.offset) offset.push_back(static_cast<float>(v / scale));
  const auto lo = static_cast<float>((relu ? out.zero_point : out.lo) - out.zero_point);
  const auto hi = static_cast<float>(out.hi - out.zero_point);
  with_int8_type(qx.dtype(), [&](auto type) {
    using T = decltype(type);
    for_each_channel<T>(*current_pool(), x, y,
                        [a = factor.data(), b = offset.data(), lo, hi, zx = in.zero_point,
                         zy = out.zero_point](T q, std::int64_t c) {
                          const float real = static_cast<float>(q - zx) * a[c] + b[c];
                          return static_cast<T>(math::round_small(math::clamp_float(real, lo, hi)) + zy);
                        });
  });
  return y;
}

}  // namespace

Tensor batch_norm(const Tensor& qx, const Tensor& running_mean, const Tensor& running_var, const Bias& weight,
                  const Bias& bias, double eps, double output_scale, std::int64_t output_zero_point) {
  check_int8("batch_norm", qx);
  return batch_norm_int8(qx, channel_affine(qx, running_mean, running_var, weight, bias, eps), output_scale,
                         output_zero_point, false);
}
Tensor batch_norm_relu(const Tensor& qx, const Tensor& running_mean, const Tensor& running_var,
                       const Bias& weight, const Bias& bias, double eps, double output_scale,
                       std::int64_t output_zero_point) {
  check_int8("batch_norm_relu", qx);
  return batch_norm_int8(qx, channel_affine(qx, running_mean, running_var, weight, bias, eps), output_scale,
                         output_zero_point, true);
}

}  // namespace ops
}  // namespace qconv
