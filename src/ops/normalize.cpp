// Softmax and batch normalization.
#include <algorithm>
#include <cmath>
#include <vector>

#include <qconv/functional.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"
#include "tensor/dense_format.hpp"

namespace qconv::functional {
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

std::vector<float> channel_values(const Tensor& values, std::int64_t channels, std::string_view what) {
  ops::check_float("batch_norm", values, what);
  check(values.dim() == 1 && values.numel() == channels,
        "batch_norm: {} must have {} elements, one per channel, got sizes {}", what, channels,
        values.sizes());
  return values.to_vector<float>();
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
  std::vector<float> factor(count);
  std::vector<float> offset(count);
  for (std::size_t c = 0; c < count; ++c) {
    const double f = gain[c] / std::sqrt(var[c] + eps);
    factor[c] = static_cast<float>(f);
    offset[c] = static_cast<float>(shift[c] - mean[c] * f);
  }
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  if (y.numel() == 0) return y;
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  // Channels change every `step` elements, in memory order.
  const std::int64_t step = channels == 1 ? y.numel() / y.size(0) : y.strides()[1];
  const std::int64_t rows = y.numel() / (channels * step);
  parallel_chunks(*engines::float_pool(), rows, std::max<std::int64_t>(1, 32768 / (channels * step)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      for (std::size_t c = 0; c < count; ++c) {
                        const std::int64_t at = (row * channels + static_cast<std::int64_t>(c)) * step;
                        for (std::int64_t i = at; i < at + step; ++i) to[i] = from[i] * factor[c] + offset[c];
                      }
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

}  // namespace qconv::functional
