#pragma once

#include <array>
#include <cstdint>

#include <qconv/tensor.hpp>
#include <qconv/unary.hpp>

#include "ops/args.hpp"

namespace qconv::ops {

/// Any function of one 8-bit integer, by the byte that holds it.
using ByteMap = std::array<std::uint8_t, 256>;

/// The map q -> f(q) between two 8-bit dtypes; `f` takes and gives integers inside their ranges.
template <class F>
ByteMap make_byte_map(DType from, const F& f) {
  ByteMap map{};
  for (int byte = 0; byte < 256; ++byte) {
    const int q = from == DType::qint8 ? static_cast<std::int8_t>(byte) : byte;
    map[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(f(q));
  }
  return map;
}

/// clamp(rint((s * (q - z)) * (1 / so)) + zo), never below `floor`.
ByteMap requantize_map(DType from, const Affine& in, const Affine& out, std::int32_t floor);

/// What ops::unary computes, from integers with the parameters `in` to integers with `out`, both per tensor.
ByteMap unary_map(const Unary& function, DType from, const QParams& in, DType to, const QParams& out);

/// map[x], with these parameters and this dtype, dense in the memory format of `x`.
Tensor mapped(const Tensor& x, const ByteMap& map, DType dtype, const QParams& qparams);

/// Writes map[x] to `result`, which has the same sizes and strides; both are dense.
void apply_byte_map(const ByteMap& map, const Tensor& x, Tensor& result);

}  // namespace qconv::ops
