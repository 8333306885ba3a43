// Softmax and batch normalization.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
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

// Calls body(first element, first channel, count, same) for stretches of dense `y` in memory order: of
// consecutive channels, or all of one channel when `same`.
template <class Body>
void for_each_stretch(ThreadPool& pool, const Tensor& y, const Body& body) {
  if (y.numel() == 0) return;
  const std::int64_t channels = y.size(1);
  // Channels change every `step` elements, in memory order.
  const std::int64_t step = channels == 1 ? y.numel() / y.size(0) : y.strides()[1];
  const std::int64_t rows = y.numel() / (channels * step);
  parallel_chunks(pool, rows, std::max<std::int64_t>(1, 32768 / (channels * step)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      const std::int64_t at = row * channels * step;
                      if (step == 1) {
                        body(at, 0, channels, false);
                        continue;
                      }
                      for (std::int64_t c = 0; c < channels; ++c) body(at + c * step, c, step, true);
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
  const int at = ops::wrap_dim("softmax", dim, input.dim());
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
  const Tensor x = input.contiguous(format);
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  for_each_stretch(*engines::float_pool(), y,
                   [&, a = factor.data(), b = offset.data()](std::int64_t at, std::int64_t channel,
                                                             std::int64_t count, bool same) {
                     for (std::int64_t i = 0; i < count; ++i) {
                       const std::int64_t c = same ? channel : channel + i;
                       to[at + i] = from[at + i] * a[c] + b[c];
                     }
                   });
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
  engines::rows::Scale args{};
  args.factor = factor.data();
  args.offset = offset.data();
  args.x_zero = in.zero_point;
  args.y_zero = out.zero_point;
  args.lo = static_cast<float>((relu ? out.zero_point : out.lo) - out.zero_point);
  args.hi = static_cast<float>(out.hi - out.zero_point);
  const auto* from = static_cast<const std::byte*>(x.raw_data());
  auto* to = static_cast<std::byte*>(y.raw_mutable_data());
  const auto run = engines::rows::kernels(qx.dtype() == qint8).scale;
  for_each_stretch(*current_pool(), y,
                   [&](std::int64_t at, std::int64_t channel, std::int64_t count, bool same) {
                     engines::rows::Scale row = args;
                     row.x = from + at;
                     row.y = to + at;
                     row.count = count;
                     row.factor += channel;
                     row.offset += channel;
                     if (!same) return run(row);
                     // One channel: its numbers for a piece at a time.
                     std::array<float, 256> a;
                     std::array<float, 256> b;
                     a.fill(*row.factor);
                     b.fill(*row.offset);
                     row.factor = a.data();
                     row.offset = b.data();
                     for (std::int64_t done = 0; done < count; done += row.count) {
                       row.x = from + at + done;
                       row.y = to + at + done;
                       row.count = std::min<std::int64_t>(count - done, 256);
                       run(row);
                     }
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
