// Means, and normalization by the statistics of the input itself.
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

std::vector<float> values_or(std::string_view who, const Bias& given, std::int64_t count,
                             std::string_view what, float fallback) {
  if (!given) return std::vector<float>(static_cast<std::size_t>(count), fallback);
  ops::check_float(who, *given, what);
  check(given->dim() == 1 && given->numel() == count, "{}: {} must have {} elements, got sizes {}", who, what,
        count, given->sizes());
  return given->to_vector<float>();
}

void check_eps(std::string_view who, double eps) {
  check(eps >= 0 && std::isfinite(eps), "{}: eps must not be negative, got {}", who, eps);
}

// Mean and 1 / sqrt(variance + eps) of `count` values, `step` apart.
struct Moments {
  double mean;
  double inverse;
};
Moments moments(const float* x, std::int64_t count, std::int64_t step, double eps) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i * step]);
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double d = static_cast<double>(x[i * step]) - mean;
    squares += d * d;
  }
  return {mean, 1 / std::sqrt(squares / static_cast<double>(count) + eps)};
}

}  // namespace

Tensor layer_norm(const Tensor& input, int dim, const Bias& weight, const Bias& bias, double eps) {
  ops::check_float("layer_norm", input);
  check(input.dim() >= 1, "layer_norm: expected at least one dimension, got sizes {}", input.sizes());
  check_eps("layer_norm", eps);
  const int at = ops::wrap_dim("layer_norm", dim, input.dim());
  const std::int64_t count = input.size(at);
  const std::vector<float> gain = values_or("layer_norm", weight, count, "weight", 1);
  const std::vector<float> shift = values_or("layer_norm", bias, count, "bias", 0);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  if (y.numel() == 0) return y;
  const std::int64_t step = count == 1 ? 1 : y.strides()[at];
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  // Dense memory: slices start wherever the index along `dim` is 0.
  parallel_chunks(*engines::float_pool(), y.numel() / count, std::max<std::int64_t>(1, 8192 / count),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t slice = begin; slice < end; ++slice) {
                      const std::int64_t start = slice / step * step * count + slice % step;
                      const Moments m = moments(from + start, count, step, eps);
                      const auto mean = static_cast<float>(m.mean);
                      const auto inverse = static_cast<float>(m.inverse);
                      for (std::int64_t i = 0; i < count; ++i) {
                        const auto c = static_cast<std::size_t>(i);
                        to[start + i * step] = (from[start + i * step] - mean) * inverse * gain[c] + shift[c];
                      }
                    }
                  });
  return y;
}

Tensor instance_norm(const Tensor& input, const Bias& weight, const Bias& bias, double eps) {
  ops::check_float("instance_norm", input);
  check(input.dim() >= 3, "instance_norm: expected sizes (N, C, spatial...), got {}", input.sizes());
  check_eps("instance_norm", eps);
  const std::int64_t channels = input.size(1);
  const std::vector<float> gain = values_or("instance_norm", weight, channels, "weight", 1);
  const std::vector<float> shift = values_or("instance_norm", bias, channels, "bias", 0);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor y = Tensor::empty(input.sizes(), float32, format);
  if (y.numel() == 0) return y;
  const std::int64_t count = y.numel() / (y.size(0) * channels);
  const bool last = format == MemoryFormat::channels_last;
  const std::int64_t step = last ? channels : 1;
  const float* from = x.data<float>();
  float* to = y.mutable_data<float>();
  parallel_chunks(*engines::float_pool(), y.size(0) * channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t channel = plane % channels;
      const std::int64_t start = plane / channels * channels * count + (last ? channel : channel * count);
      const Moments m = moments(from + start, count, step, eps);
      const auto c = static_cast<std::size_t>(channel);
      const auto factor = static_cast<float>(m.inverse * static_cast<double>(gain[c]));
      const auto mean = static_cast<float>(m.mean);
      for (std::int64_t i = start; i < start + count * step; i += step) {
        to[i] = (from[i] - mean) * factor + shift[c];
      }
    }
  });
  return y;
}

Tensor mean(const Tensor& input, std::span<const std::int64_t> dims, bool keepdim) {
  ops::check_float("mean", input);
  std::vector<bool> reduced(static_cast<std::size_t>(input.dim()), dims.empty());
  for (const std::int64_t d : dims) {
    const auto at = static_cast<std::size_t>(ops::wrap_dim("mean", d, input.dim()));
    check(!reduced[at], "mean: dimension {} twice", d);
    reduced[at] = true;
  }
  const Tensor x = input.contiguous();
  Shape kept = input.sizes();
  Shape out;
  std::int64_t count = 1;
  for (int d = 0; d < input.dim(); ++d) {
    if (reduced[static_cast<std::size_t>(d)]) {
      count *= input.size(d);
      kept[d] = 1;
    }
    if (keepdim || !reduced[static_cast<std::size_t>(d)]) out.push_back(kept[d]);
  }
  const Shape strides = dense_strides(kept, MemoryFormat::contiguous);
  std::vector<double> sums(static_cast<std::size_t>(kept.numel()));
  Shape index = Shape::filled(input.dim(), 0);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    std::int64_t to = 0;
    for (int d = 0; d < index.rank(); ++d) {
      if (!reduced[static_cast<std::size_t>(d)]) to += index[d] * strides[d];
    }
    sums[static_cast<std::size_t>(to)] += static_cast<double>(x.data<float>()[i]);
    for (int d = index.rank() - 1; d >= 0; --d) {
      if (++index[d] < input.size(d)) break;
      index[d] = 0;
    }
  }
  Tensor y = Tensor::empty(out, float32);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    y.mutable_data<float>()[i] = static_cast<float>(sums[i] / static_cast<double>(count));
  }
  return y;
}

}  // namespace qconv::functional
