// Interpolation on channels-last memory.
#include <cstring>
#include <vector>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "ops/resize_taps.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"

namespace qconv {
namespace ops {
namespace {

using Axes = std::array<ResizeAxis, 3>;

Spatial output_of(const Axes& axes) { return {axes[0].out, axes[1].out, axes[2].out}; }

// Calls body(image, d, h, row) for every row of the output; `row` counts them, `d` and `h` are its place.
template <class Body>
void for_each_output_row(ThreadPool& pool, const Volume& in, const Axes& axes, const Body& body) {
  const std::int64_t rows = in.batch * axes[0].out * axes[1].out;
  const std::int64_t work = axes[2].out * in.channels * axes[0].taps * axes[1].taps * axes[2].taps;
  parallel_chunks(pool, rows, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, work)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      body(row / (axes[0].out * axes[1].out),
                           static_cast<std::size_t>(row / axes[1].out % axes[0].out),
                           static_cast<std::size_t>(row % axes[1].out), row);
                    }
                  });
}

void resize_nearest(ThreadPool& pool, const Volume& in, const Axes& axes, const void* from, void* to,
                    std::size_t width) {
  const std::size_t pixel = static_cast<std::size_t>(in.channels) * width;
  for_each_output_row(pool, in, axes, [&](std::int64_t n, std::size_t d, std::size_t h, std::int64_t row) {
    const std::int64_t line = (n * in.spatial[0] + axes[0].index[d]) * in.spatial[1] + axes[1].index[h];
    const char* source =
        static_cast<const char*>(from) + static_cast<std::size_t>(line * in.spatial[2]) * pixel;
    char* target = static_cast<char*>(to) + static_cast<std::size_t>(row * axes[2].out) * pixel;
    for (std::int64_t o = 0; o < axes[2].out; ++o) {
      const auto i = static_cast<std::size_t>(axes[2].index[static_cast<std::size_t>(o)]);
      std::memcpy(target + static_cast<std::size_t>(o) * pixel, source + i * pixel, pixel);
    }
  });
}

// line[o] = sum_w w_w * (x - zero_point) along one input row.
template <class T>
void resize_line(const ResizeAxis& axis, const T* x, std::int64_t channels, std::int32_t zero_point,
                 float* line) {
  for (std::int64_t o = 0; o < axis.out; ++o) {
    float* to = line + o * channels;
    for (std::int64_t t = 0; t < axis.taps; ++t) {
      const auto tap = static_cast<std::size_t>(o * axis.taps + t);
      const T* from = x + axis.index[tap] * channels;
      const float weight = axis.weight[tap];
      for (std::int64_t c = 0; c < channels; ++c) {
        float value;
        if constexpr (std::is_floating_point_v<T>) {
          value = weight * from[c];
        } else {
          value = weight * static_cast<float>(from[c] - zero_point);
        }
        to[c] = t == 0 ? value : to[c] + value;
      }
    }
  }
}

// Interpolates row by row; finish(values, row) stores a row of the output.
template <class T, class Finish>
void resize_weighted(const Volume& in, const Axes& axes, const T* x, std::int32_t zero_point,
                     const Finish& finish) {
  const auto length = static_cast<std::size_t>(axes[2].out * in.channels);
  for_each_output_row(
      *engines::pool_for(dtype_of<T>), in, axes,
      [&](std::int64_t n, std::size_t d, std::size_t h, std::int64_t row) {
        // `line` along the last dimension, `plane` over rows, `cube` over planes.
        std::vector<float> buffer(3 * length);
        float* line = buffer.data();
        float* plane = line + length;
        float* cube = plane + length;
        const auto accumulate = [length](float* sum, const float* term, float weight, bool first) {
          for (std::size_t i = 0; i < length; ++i) {
            const float value = weight * term[i];
            sum[i] = first ? value : sum[i] + value;
          }
        };
        for (std::int64_t td = 0; td < axes[0].taps; ++td) {
          const std::size_t tap_d = d * static_cast<std::size_t>(axes[0].taps) + static_cast<std::size_t>(td);
          for (std::int64_t th = 0; th < axes[1].taps; ++th) {
            const std::size_t tap_h =
                h * static_cast<std::size_t>(axes[1].taps) + static_cast<std::size_t>(th);
            const std::int64_t source =
                (n * in.spatial[0] + axes[0].index[tap_d]) * in.spatial[1] + axes[1].index[tap_h];
            resize_line(axes[2], x + source * in.spatial[2] * in.channels, in.channels, zero_point, line);
            accumulate(plane, line, axes[1].weight[tap_h], th == 0);
          }
          accumulate(cube, plane, axes[0].weight[tap_d], td == 0);
        }
        finish(cube, row);
      });
}

}  // namespace

Tensor interpolate(const Tensor& qx, const Resize& resize, OutputScale output_scale,
                   OutputZeroPoint output_zero_point) {
  check_int8("interpolate", qx);
  const Volume in = volume_of("interpolate", qx);
  const Axes axes = resize_axes("interpolate", in, resize);
  const QParams qparams = output_qparams("interpolate", qx, output_scale, output_zero_point);
  const Shape sizes = in.with_spatial(output_of(axes)).sizes();
  const Tensor x = qx.contiguous(MemoryFormat::channels_last);
  if (resize.mode == ResizeMode::nearest) {
    Tensor y = empty_like(qx, sizes, MemoryFormat::channels_last);
    if (y.numel() > 0)
      resize_nearest(*engines::pool_for(x.dtype()), in, axes, x.raw_data(), y.raw_mutable_data(), 1);
    return qparams == qx.qparams() ? y : requantize(y, qparams.scales[0], qparams.zero_points[0]);
  }
  Tensor y = Tensor::empty_quantized(sizes, qx.dtype(), qparams, MemoryFormat::channels_last);
  if (y.numel() == 0) return y;
  const Affine out = affine_of(y);
  const auto m = static_cast<float>(qx.q_scale() / qparams.scales[0]);
  const std::int64_t length = axes[2].out * in.channels;
  with_int8_type(qx.dtype(), [&](auto type) {
    using T = decltype(type);
    T* to = y.template mutable_data<T>();
    resize_weighted(
        in, axes, x.template data<T>(), affine_of(qx).zero_point, [&](const float* values, std::int64_t row) {
          T* target = to + row * length;
          for (std::int64_t i = 0; i < length; ++i) {
            target[i] = static_cast<T>(math::round_and_clamp(values[i] * m, out.zero_point, out.lo, out.hi));
          }
        });
  });
  return y;
}

}  // namespace ops

namespace functional {

Tensor interpolate(const Tensor& input, const Resize& resize) {
  if (input.defined() && input.is_quantized()) return ops::interpolate(input, resize);
  ops::check_float("interpolate", input);
  const ops::Volume in = ops::volume_of("interpolate", input);
  const ops::Axes axes = ops::resize_axes("interpolate", in, resize);
  Tensor y =
      Tensor::empty(in.with_spatial(ops::output_of(axes)).sizes(), float32, MemoryFormat::channels_last);
  const Tensor x = input.contiguous(MemoryFormat::channels_last);
  if (y.numel() == 0) return y;
  float* to = y.mutable_data<float>();
  if (resize.mode == ResizeMode::nearest) {
    ops::resize_nearest(*engines::pool_for(x.dtype()), in, axes, x.raw_data(), to, sizeof(float));
    return y;
  }
  const std::int64_t length = axes[2].out * in.channels;
  ops::resize_weighted(in, axes, x.data<float>(), 0, [&](const float* values, std::int64_t row) {
    std::copy(values, values + length, to + row * length);
  });
  return y;
}

}  // namespace functional
}  // namespace qconv
