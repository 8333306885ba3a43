// Maxima and means over windows, on channels-last memory: the inner loop runs over channels.
#include <array>
#include <limits>
#include <span>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
#include "ops/window.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"

namespace qconv {
namespace ops {
namespace {

// Channels that are worked on at once: their accumulators stay in the L1 cache.
constexpr std::int64_t kBlock = 256;
// Elements that a task should read at least.
constexpr std::int64_t kGrain = 32768;

// One window of one block of channels.
struct Place {
  const Window& d;
  const Window& h;
  const Window& w;

  std::int64_t count() const noexcept { return d.count * h.count * w.count; }
  std::int64_t divisor() const noexcept { return d.divisor * h.divisor * w.divisor; }
};

// The most taps that a window of these has.
std::int64_t widest(const Windows& windows) {
  std::int64_t taps = 1;
  for (const auto& axis : windows.axes) {
    std::int64_t most = 1;
    for (const Window& w : axis) most = std::max(most, w.count);
    check(!__builtin_mul_overflow(taps, most, &taps), "pooling: the windows are too large");
  }
  return taps;
}

// Calls reduce(window in depth, in height, image memory, result memory, channels) for every row of outputs
// and block of channels.
template <class T, class Reduce>
void for_each_output_row(const Volume& in, const Windows& windows, const T* x, T* y, const Reduce& reduce) {
  const Spatial out = windows.output();
  const std::int64_t blocks = (in.channels + kBlock - 1) / kBlock;
  const std::int64_t rows = in.batch * out[0] * out[1];
  if (rows == 0 || out[2] == 0 || blocks == 0) return;
  const auto one_task = [&](std::int64_t task) {
    const std::int64_t row = task / blocks;
    const std::int64_t channel = task % blocks * kBlock;
    const std::int64_t channels = std::min(kBlock, in.channels - channel);
    const Window& d = windows.axes[0][static_cast<std::size_t>(row / out[1] % out[0])];
    const Window& h = windows.axes[1][static_cast<std::size_t>(row % out[1])];
    const T* image = x + row / (out[0] * out[1]) * in.positions() * in.channels + channel;
    reduce(d, h, image, y + row * out[2] * in.channels + channel, channels);
  };
  // Elements that a task reads, at most: few tasks' worth do not pay for waking threads.
  const std::int64_t work = out[2] * std::min(kBlock, in.channels) * widest(windows);
  parallel_chunks(*engines::pool_for(dtype_of<T>), rows * blocks, std::max<std::int64_t>(1, kGrain / work),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t task = begin; task < end; ++task) one_task(task);
                  });
}

// Calls reduce(place, window memory, result memory, channels) for every output position and block of
// channels.
template <class T, class Reduce>
void for_each_window(const Volume& in, const Windows& windows, const T* x, T* y, const Reduce& reduce) {
  for_each_output_row(in, windows, x, y,
                      [&](const Window& d, const Window& h, const T* image, T* to, std::int64_t channels) {
                        for (const Window& w : windows.axes[2]) {
                          reduce(Place{d, h, w}, image, to, channels);
                          to += in.channels;
                        }
                      });
}

// Calls row(first element, taps) for every row of taps of a window.
template <class T, class Row>
void for_each_row(const Volume& in, const Windows& windows, const Place& p, const T* image, const Row& row) {
  for (std::int64_t i = 0; i < p.d.count; ++i) {
    for (std::int64_t j = 0; j < p.h.count; ++j) {
      const std::int64_t plane = p.d.first + i * windows.step[0];
      const std::int64_t line = p.h.first + j * windows.step[1];
      row(image + ((plane * in.spatial[1] + line) * in.spatial[2] + p.w.first) * in.channels, p.w.count);
    }
  }
}

void max_into(float* best, const float* x, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) {
    // A NaN wins: it is the one value unequal to itself.
    best[c] = x[c] > best[c] || x[c] != x[c] ? x[c] : best[c];
  }
}

void max_pool_float(const Volume& in, const Windows& windows, const float* x, float* y) {
  const std::int64_t step = windows.step[2] * in.channels;
  for_each_window(in, windows, x, y,
                  [&](const Place& p, const float* image, float* best, std::int64_t channels) {
                    std::fill(best, best + channels, -std::numeric_limits<float>::infinity());
                    for_each_row(in, windows, p, image, [&](const float* from, std::int64_t taps) {
                      for (std::int64_t t = 0; t < taps; ++t) max_into(best, from + t * step, channels);
                    });
                  });
}

// How many windows from this one on have as many taps and lie equally far apart.
std::int64_t alike(std::span<const Window> windows) {
  std::size_t count = 1;
  while (count < windows.size() && windows[count].count == windows[0].count &&
         windows[count].first - windows[count - 1].first == windows[1].first - windows[0].first) {
    ++count;
  }
  return static_cast<std::int64_t>(count);
}

template <class T>
void max_pool_int8(const Volume& in, const Windows& windows, const T* x, T* y) {
  const auto max = engines::rows::kernels(std::is_signed_v<T>).max;
  const std::int64_t line = in.spatial[2] * in.channels;
  for_each_output_row(in, windows, x, y,
                      [&](const Window& d, const Window& h, const T* image, T* best, std::int64_t channels) {
                        std::span<const Window> rest = windows.axes[2];
                        for (std::size_t o = 0; o < rest.size(); ++o)
                          std::fill_n(best + static_cast<std::int64_t>(o) * in.channels, channels,
                                      std::numeric_limits<T>::lowest());
                        while (!rest.empty()) {
                          const std::int64_t count = alike(rest);
                          const Window& w = rest[0];
                          const std::int64_t apart = count > 1 ? rest[1].first - w.first : 0;
                          for (std::int64_t i = 0; i < d.count; ++i) {
                            const std::int64_t plane = d.first + i * windows.step[0];
                            const T* corner =
                                image + (plane * in.spatial[1] + h.first) * line + w.first * in.channels;
                            max({corner, best, channels, count, apart * in.channels, in.channels, h.count,
                                 windows.step[1] * line, w.count, windows.step[2] * in.channels});
                          }
                          best += count * in.channels;
                          rest = rest.subspan(static_cast<std::size_t>(count));
                        }
                      });
}

void sum_into(float* sum, const float* x, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) sum[c] += x[c];
}

void avg_pool_float(const Volume& in, const Windows& windows, const float* x, float* y) {
  const std::int64_t step = windows.step[2] * in.channels;
  for_each_window(in, windows, x, y,
                  [&](const Place& p, const float* image, float* mean, std::int64_t channels) {
                    std::fill(mean, mean + channels, 0.0F);
                    if (p.divisor() == 0) return;
                    for_each_row(in, windows, p, image, [&](const float* from, std::int64_t taps) {
                      // A sum of its own for each row keeps the error of large windows small.
                      std::array<float, kBlock> sum;
                      std::fill_n(sum.begin(), channels, 0.0F);
                      for (std::int64_t t = 0; t < taps; ++t) sum_into(sum.data(), from + t * step, channels);
                      sum_into(mean, sum.data(), channels);
                    });
                    const auto divisor = static_cast<float>(p.divisor());
                    for (std::int64_t c = 0; c < channels; ++c) mean[c] /= divisor;
                  });
}

template <class T>
void avg_pool_int8(const Volume& in, const Windows& windows, const Tensor& qx, Tensor& qy) {
  const std::int64_t step = windows.step[2] * in.channels;
  const Affine ax = affine_of(qx);
  const Affine ay = affine_of(qy);
  const double ratio = qx.q_scale() / qy.q_scale();
  const auto add_rows = engines::rows::kernels(std::is_signed_v<T>).sum;
  for_each_window(in, windows, qx.data<T>(), qy.mutable_data<T>(),
                  [&](const Place& p, const T* image, T* mean, std::int64_t channels) {
                    if (p.divisor() == 0) {
                      std::fill(mean, mean + channels, static_cast<T>(ay.zero_point));
                      return;
                    }
                    std::array<std::int32_t, kBlock> sum;
                    std::fill_n(sum.begin(), channels, static_cast<std::int32_t>(-p.count() * ax.zero_point));
                    for_each_row(in, windows, p, image, [&](const T* from, std::int64_t taps) {
                      add_rows({from, sum.data(), channels, taps, step});
                    });
                    const auto m = static_cast<float>(ratio / static_cast<double>(p.divisor()));
                    for (std::int64_t c = 0; c < channels; ++c) {
                      const auto real = static_cast<float>(sum[static_cast<std::size_t>(c)]);
                      mean[c] = static_cast<T>(math::round_and_clamp(real * m, ay.zero_point, ay.lo, ay.hi));
                    }
                  });
}

Tensor max_pool_any(const Tensor& input, const Pooling& pooling) {
  const Volume in = volume_of("max_pool", input);
  const Windows windows = pooling_windows("max_pool", in, pooling);
  Tensor y = empty_like(input, in.with_spatial(windows.output()).sizes(), MemoryFormat::channels_last);
  const Tensor x = input.contiguous(MemoryFormat::channels_last);
  if (input.dtype() == float32) {
    max_pool_float(in, windows, x.data<float>(), y.mutable_data<float>());
  } else {
    with_int8_type(x.dtype(), [&](auto type) {
      using T = decltype(type);
      max_pool_int8(in, windows, x.template data<T>(), y.template mutable_data<T>());
    });
  }
  return y;
}

Tensor mean_float(const Tensor& input, const Volume& in, const Windows& windows) {
  Tensor y = Tensor::empty(in.with_spatial(windows.output()).sizes(), float32, MemoryFormat::channels_last);
  const Tensor x = input.contiguous(MemoryFormat::channels_last);
  avg_pool_float(in, windows, x.data<float>(), y.mutable_data<float>());
  return y;
}

Tensor mean_int8(std::string_view who, const Tensor& qx, const Volume& in, const Windows& windows,
                 OutputScale scale, OutputZeroPoint zero_point) {
  check(widest(windows) <= std::int64_t{1} << 23, "{}: windows of more than 2^23 elements are not supported",
        who);
  Tensor qy =
      Tensor::empty_quantized(in.with_spatial(windows.output()).sizes(), qx.dtype(),
                              output_qparams(who, qx, scale, zero_point), MemoryFormat::channels_last);
  const Tensor x = qx.contiguous(MemoryFormat::channels_last);
  with_int8_type(x.dtype(), [&](auto type) { avg_pool_int8<decltype(type)>(in, windows, x, qy); });
  return qy;
}

}  // namespace

Tensor max_pool(const Tensor& qx, const Pooling& pooling) {
  check_int8("max_pool", qx);
  return max_pool_any(qx, pooling);
}

Tensor avg_pool(const Tensor& qx, const Pooling& pooling, OutputScale output_scale,
                OutputZeroPoint output_zero_point) {
  check_int8("avg_pool", qx);
  const Volume in = volume_of("avg_pool", qx);
  return mean_int8("avg_pool", qx, in, pooling_windows("avg_pool", in, pooling), output_scale,
                   output_zero_point);
}

Tensor adaptive_avg_pool(const Tensor& qx, const IntList& output_size, OutputScale output_scale,
                         OutputZeroPoint output_zero_point) {
  check_int8("adaptive_avg_pool", qx);
  const Volume in = volume_of("adaptive_avg_pool", qx);
  return mean_int8("adaptive_avg_pool", qx, in, adaptive_windows("adaptive_avg_pool", in, output_size),
                   output_scale, output_zero_point);
}

Tensor global_avg_pool(const Tensor& qx, OutputScale output_scale, OutputZeroPoint output_zero_point) {
  return adaptive_avg_pool(qx, 1, output_scale, output_zero_point);
}

}  // namespace ops

namespace functional {

Tensor max_pool(const Tensor& input, const Pooling& pooling) {
  if (input.defined() && input.is_quantized()) return ops::max_pool(input, pooling);
  ops::check_float("max_pool", input);
  return ops::max_pool_any(input, pooling);
}

Tensor avg_pool(const Tensor& input, const Pooling& pooling) {
  if (input.defined() && input.is_quantized()) return ops::avg_pool(input, pooling);
  ops::check_float("avg_pool", input);
  const ops::Volume in = ops::volume_of("avg_pool", input);
  return ops::mean_float(input, in, ops::pooling_windows("avg_pool", in, pooling));
}

Tensor adaptive_avg_pool(const Tensor& input, const IntList& output_size) {
  if (input.defined() && input.is_quantized()) return ops::adaptive_avg_pool(input, output_size);
  ops::check_float("adaptive_avg_pool", input);
  const ops::Volume in = ops::volume_of("adaptive_avg_pool", input);
  return ops::mean_float(input, in, ops::adaptive_windows("adaptive_avg_pool", in, output_size));
}

Tensor global_avg_pool(const Tensor& input) { return adaptive_avg_pool(input, 1); }

#define QCONV_DEFINE_POOL(N)                                                                                 \
  Tensor max_pool##N##d(const Tensor& input, const IntList& kernel_size,                                     \
                        const std::optional<IntList>& stride, const Padding& padding,                        \
                        const IntList& dilation, bool ceil_mode) {                                           \
    check(!input.defined() || input.dim() == N + 2, "max_pool" #N "d: expected an input of rank {}, got {}", \
          N + 2, input);                                                                                     \
    return max_pool(input, {.kernel_size = kernel_size,                                                      \
                            .stride = stride,                                                                \
                            .padding = padding,                                                              \
                            .dilation = dilation,                                                            \
                            .ceil_mode = ceil_mode});                                                        \
  }                                                                                                          \
  Tensor avg_pool##N##d(const Tensor& input, const IntList& kernel_size,                                     \
                        const std::optional<IntList>& stride, const Padding& padding, bool ceil_mode,        \
                        bool count_include_pad) {                                                            \
    check(!input.defined() || input.dim() == N + 2, "avg_pool" #N "d: expected an input of rank {}, got {}", \
          N + 2, input);                                                                                     \
    return avg_pool(input, {.kernel_size = kernel_size,                                                      \
                            .stride = stride,                                                                \
                            .padding = padding,                                                              \
                            .ceil_mode = ceil_mode,                                                          \
                            .count_include_pad = count_include_pad});                                        \
  }

QCONV_DEFINE_POOL(1)
QCONV_DEFINE_POOL(2)
QCONV_DEFINE_POOL(3)
#undef QCONV_DEFINE_POOL

}  // namespace functional
}  // namespace qconv
