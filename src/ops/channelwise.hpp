#pragma once

#include <cstdint>

#include <qconv/tensor.hpp>

#include "tensor/dense_format.hpp"

namespace qconv {

/// f(value, c) for every element of the float32 tensor, c being its index in dimension `axis`; dense in the
/// tensor's memory format.
template <class F>
Tensor channelwise(const Tensor& input, int axis, const F& f) {
  Tensor y = input.clone(dense_format(input));
  const std::int64_t channels = y.size(axis);
  if (y.numel() == 0) return y;
  auto* values = y.mutable_data<float>();
  // Along the axis the channel changes every `stretch` elements, in memory order.
  const std::int64_t stretch = channels == 1 ? y.numel() : y.stride(axis);
  for (std::int64_t begin = 0, run = 0; begin < y.numel(); begin += stretch, ++run) {
    const auto channel = static_cast<std::size_t>(run % channels);
    for (std::int64_t i = begin; i < begin + stretch; ++i) values[i] = f(values[i], channel);
  }
  return y;
}

}  // namespace qconv
