#include <cmath>
#include <cstdint>

#include <qconv/quantize.hpp>

#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "tensor/dense_format.hpp"

namespace qconv {
namespace {

struct Affine {
  float scale;
  std::int32_t zero_point;
};

Affine affine(const QParams& q, std::size_t channel) {
  return {static_cast<float>(q.scales[channel]), static_cast<std::int32_t>(q.zero_points[channel])};
}

template <class T>
void quantize_run(const float* x, T* q, std::int64_t count, Affine p, float lo, float hi) {
  const float inverse = 1.0F / p.scale;
  for (std::int64_t i = 0; i < count; ++i) {
    q[i] = static_cast<T>(math::round_small(math::clamp_float(x[i] * inverse, lo, hi)) + p.zero_point);
  }
}

void quantize_run(const float* x, DType dtype, void* q, std::int64_t offset, std::int64_t count, Affine p) {
  const auto lo = static_cast<float>(info(dtype).quant_min - p.zero_point);
  const auto hi = static_cast<float>(info(dtype).quant_max - p.zero_point);
  switch (dtype) {
    case DType::quint8:
      return quantize_run(x + offset, static_cast<std::uint8_t*>(q) + offset, count, p, lo, hi);
    case DType::qint8:
      return quantize_run(x + offset, static_cast<std::int8_t*>(q) + offset, count, p, lo, hi);
    default: {
      const float inverse = 1.0F / p.scale;
      auto* to = static_cast<std::int32_t*>(q) + offset;
      for (std::int64_t i = 0; i < count; ++i)
        to[i] = math::quantize_one_int32(x[offset + i], inverse, p.zero_point);
    }
  }
}

template <class T>
void dequantize_run(const T* q, float* x, std::int64_t count, const QParams& qparams, std::size_t channel) {
  if (qparams.is_per_channel()) {
    const double scale = qparams.scales[channel];
    const std::int64_t zero_point = qparams.zero_points[channel];
    for (std::int64_t i = 0; i < count; ++i) x[i] = math::dequantize_one_per_channel(q[i], scale, zero_point);
  } else {
    const Affine p = affine(qparams, 0);
    for (std::int64_t i = 0; i < count; ++i) x[i] = math::dequantize_one(q[i], p.scale, p.zero_point);
  }
}

void dequantize_run(const Tensor& q, float* x, std::int64_t offset, std::int64_t count, std::size_t channel) {
  const void* data = q.raw_data();
  switch (q.dtype()) {
    case DType::quint8:
      return dequantize_run(static_cast<const std::uint8_t*>(data) + offset, x + offset, count, q.qparams(),
                            channel);
    case DType::qint8:
      return dequantize_run(static_cast<const std::int8_t*>(data) + offset, x + offset, count, q.qparams(),
                            channel);
    default:
      return dequantize_run(static_cast<const std::int32_t*>(data) + offset, x + offset, count, q.qparams(),
                            channel);
  }
}

// Calls run(offset, count, channel) for the stretches of a dense tensor that share one set of parameters.
template <class Run>
void for_each_run(const Tensor& dense, const QParams& q, const Run& run) {
  if (dense.numel() == 0) return;
  if (!q.is_per_channel()) return run(0, dense.numel(), std::size_t{0});
  const std::int64_t channels = dense.size(q.axis);
  // Along the axis the parameters change every `stretch` elements, in memory order.
  const std::int64_t stretch = channels == 1 ? dense.numel() : dense.stride(q.axis);
  for (std::int64_t offset = 0, i = 0; offset < dense.numel(); offset += stretch, ++i) {
    run(offset, stretch, static_cast<std::size_t>(i % channels));
  }
}

Tensor quantize(const Tensor& input, QParams qparams, DType dtype, std::string_view who) {
  check(input.defined(), "{}: the input is undefined", who);
  check<TypeError>(input.dtype() == float32, "{}: expected a float32 tensor, got {}", who,
                   to_string(input.dtype()));
  check_qparams(qparams, input.sizes(), dtype, who);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor result = Tensor::empty_quantized(input.sizes(), dtype, std::move(qparams), format);
  for_each_run(result, result.qparams(), [&](std::int64_t offset, std::int64_t count, std::size_t channel) {
    quantize_run(x.data<float>(), dtype, result.raw_mutable_data(), offset, count,
                 affine(result.qparams(), channel));
  });
  return result;
}

// q - zero_point without the integer in between; adding 0 makes -0 a 0, as the integer is.
float fake_quantized(float x, float inverse, float scale, float lo, float hi) {
  return (std::nearbyint(math::clamp_float(x * inverse, lo, hi)) + 0.0F) * scale;
}

void fake_quantize_run(const float* x, float* y, std::int64_t count, Affine p, float lo, float hi) {
  constexpr float kSmall = 4194304.0F;  // where round_small ends
  const float inverse = 1.0F / p.scale;
  if (lo < -kSmall || hi > kSmall) {
    for (std::int64_t i = 0; i < count; ++i) y[i] = fake_quantized(x[i], inverse, p.scale, lo, hi);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(math::round_small(math::clamp_float(x[i] * inverse, lo, hi))) * p.scale;
}

Tensor fake_quantize(const Tensor& input, const QParams& qparams, std::int64_t quant_min,
                     std::int64_t quant_max, std::string_view who) {
  check(input.defined(), "{}: the input is undefined", who);
  check<TypeError>(input.dtype() == float32, "{}: expected a float32 tensor, got {}", who,
                   to_string(input.dtype()));
  check_qparams(qparams, input.sizes(), qint32, who);
  check(quant_min < quant_max && quant_min >= INT32_MIN && quant_max <= INT32_MAX,
        "{}: [{}, {}] is no range of integers", who, quant_min, quant_max);
  for (const std::int64_t zero_point : qparams.zero_points)
    check(zero_point >= quant_min && zero_point <= quant_max, "{}: the zero point {} is not in [{}, {}]", who,
          zero_point, quant_min, quant_max);
  const MemoryFormat format = dense_format(input);
  const Tensor x = input.contiguous(format);
  Tensor result = Tensor::empty(input.sizes(), float32, format);
  for_each_run(result, qparams, [&](std::int64_t offset, std::int64_t count, std::size_t channel) {
    const std::int64_t zero_point = qparams.zero_points[channel];
    fake_quantize_run(x.data<float>() + offset, result.mutable_data<float>() + offset, count,
                      affine(qparams, channel), static_cast<float>(quant_min - zero_point),
                      static_cast<float>(quant_max - zero_point));
  });
  return result;
}

}  // namespace

Tensor fake_quantize_per_tensor_affine(const Tensor& input, double scale, std::int64_t zero_point,
                                       std::int64_t quant_min, std::int64_t quant_max) {
  return fake_quantize(input, QParams::per_tensor(scale, zero_point), quant_min, quant_max,
                       "fake_quantize_per_tensor_affine");
}

Tensor fake_quantize_per_channel_affine(const Tensor& input, std::span<const double> scales,
                                        std::span<const std::int64_t> zero_points, int axis,
                                        std::int64_t quant_min, std::int64_t quant_max) {
  constexpr std::string_view who = "fake_quantize_per_channel_affine";
  check(axis >= 0 && axis < input.dim(), "{}: channel axis {} is out of range for sizes {}", who, axis,
        input.sizes());
  return fake_quantize(
      input,
      QParams::per_channel({scales.begin(), scales.end()}, {zero_points.begin(), zero_points.end()}, axis),
      quant_min, quant_max, who);
}

Tensor quantize_per_tensor(const Tensor& input, double scale, std::int64_t zero_point, DType dtype) {
  return quantize(input, QParams::per_tensor(scale, zero_point), dtype, "quantize_per_tensor");
}

Tensor quantize_per_channel(const Tensor& input, std::span<const double> scales,
                            std::span<const std::int64_t> zero_points, int axis, DType dtype) {
  const int rank = input.dim();
  check(axis >= -rank && axis < rank, "quantize_per_channel: channel axis {} is out of range for sizes {}",
        axis, input.sizes());
  return quantize(
      input,
      QParams::per_channel({scales.begin(), scales.end()}, {zero_points.begin(), zero_points.end()},
                           axis < 0 ? axis + rank : axis),
      dtype, "quantize_per_channel");
}

Tensor quantize_per_channel(const Tensor& input, const Tensor& scales, const Tensor& zero_points, int axis,
                            DType dtype) {
  check<TypeError>(info(scales.dtype()).floating,
                   "quantize_per_channel: scales must be floating point, got {}", to_string(scales.dtype()));
  check<TypeError>(!info(zero_points.dtype()).floating && !zero_points.is_quantized(),
                   "quantize_per_channel: zero_points must be integers, got {}",
                   to_string(zero_points.dtype()));
  check(scales.dim() == 1, "quantize_per_channel: scales must have 1 dimension, got sizes {}",
        scales.sizes());
  check(zero_points.dim() == 1, "quantize_per_channel: zero_points must have 1 dimension, got sizes {}",
        zero_points.sizes());
  std::vector<double> s;
  for (std::int64_t i = 0; i < scales.numel(); ++i) s.push_back(scales.select(0, i).item());
  std::vector<std::int64_t> z;
  for (std::int64_t i = 0; i < zero_points.numel(); ++i) {
    z.push_back(static_cast<std::int64_t>(zero_points.select(0, i).item()));
  }
  return quantize_per_channel(input, s, z, axis, dtype);
}

Tensor dequantize(const Tensor& input) {
  const QParams& qparams = input.qparams();
  const MemoryFormat format = dense_format(input);
  const Tensor q = input.contiguous(format);
  Tensor result = Tensor::empty(input.sizes(), float32, format);
  for_each_run(q, qparams, [&](std::int64_t offset, std::int64_t count, std::size_t channel) {
    dequantize_run(q, result.mutable_data<float>(), offset, count, channel);
  });
  return result;
}

Tensor make_quantized(const Tensor& integers, QParams qparams) {
  const auto quantized = [&]() -> std::optional<DType> {
    switch (integers.dtype()) {
      case DType::uint8:
        return quint8;
      case DType::int8:
        return qint8;
      case DType::int32:
        return qint32;
      default:
        return std::nullopt;
    }
  }();
  check<TypeError>(quantized.has_value(), "make_quantized: expected uint8, int8 or int32 integers, got {}",
                   to_string(integers.dtype()));
  // The view keeps the integers alive by holding the tensor itself.
  auto owner = std::make_shared<Tensor>(integers);
  return Tensor::from_blob(owner->raw_mutable_data(), integers.sizes(), integers.strides(), *quantized, owner,
                           std::move(qparams));
}

}  // namespace qconv
