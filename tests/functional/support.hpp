#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <qconv/qconv.hpp>

namespace qconv::test {

/// Reproducible numbers in [-1, 1) that are multiples of 1/64: sums and products of a few stay exact in
/// float.
inline Tensor random_float(const Shape& sizes, std::uint32_t seed,
                           MemoryFormat format = MemoryFormat::contiguous) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
  for (float& v : values) v = static_cast<float>(static_cast<int>(random() % 128) - 64) / 64.0F;
  return Tensor::from_data(values, sizes).contiguous(format);
}

/// Reproducible integers over the whole range of quint8 or qint8.
inline Tensor random_int8(const Shape& sizes, DType dtype, double scale, std::int64_t zero_point,
                          std::uint32_t seed) {
  std::mt19937 random(seed);
  Tensor q = Tensor::empty_quantized(sizes, dtype, QParams::per_tensor(scale, zero_point));
  auto* bytes = static_cast<std::uint8_t*>(q.raw_mutable_data());
  for (std::int64_t i = 0; i < q.numel(); ++i) bytes[i] = static_cast<std::uint8_t>(random() >> 7);
  return q;
}

/// The integers of a quint8 or qint8 tensor in row-major order.
inline std::vector<int> integers(const Tensor& q) {
  std::vector<int> result;
  if (q.dtype() == quint8) {
    for (const auto v : q.to_vector<std::uint8_t>()) result.push_back(v);
  } else {
    for (const auto v : q.to_vector<std::int8_t>()) result.push_back(v);
  }
  return result;
}

}  // namespace qconv::test
