#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <qconv/nn/dynamic.hpp>
#include <qconv/nn/intrinsic_quantized.hpp>
#include <qconv/nn/quantized.hpp>
#include <qconv/qconv.hpp>

namespace qconv::testing {

namespace nnq = nn::quantized;
namespace nniq = nn::intrinsic::quantized;
namespace nni = nn::intrinsic;

/// What f throws, as text.
template <class E, class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing of that kind thrown";
}

/// One quantized class with the float class it comes from.
template <class Q, class F>
struct Kind {
  using Quantized = Q;
  using Float = F;
  static constexpr nn::ConvKind kind = Q::kKind;
  static constexpr bool adds = has_add(kind.post_op);
  static constexpr bool fused = kind.post_op != PostOp::none;
};

using AllKinds =
    ::testing::Types<Kind<nnq::Conv1d, nn::Conv1d>, Kind<nnq::Conv2d, nn::Conv2d>,
                     Kind<nnq::Conv3d, nn::Conv3d>, Kind<nnq::ConvTranspose1d, nn::ConvTranspose1d>,
                     Kind<nnq::ConvTranspose2d, nn::ConvTranspose2d>,
                     Kind<nnq::ConvTranspose3d, nn::ConvTranspose3d>, Kind<nniq::ConvReLU1d, nni::ConvReLU1d>,
                     Kind<nniq::ConvReLU2d, nni::ConvReLU2d>, Kind<nniq::ConvReLU3d, nni::ConvReLU3d>,
                     Kind<nniq::ConvAdd2d, nni::ConvAdd2d>, Kind<nniq::ConvAddReLU2d, nni::ConvAddReLU2d>>;

/// Random floats in [low, high).
inline Tensor random_floats(const Shape& sizes, std::uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
  for (float& v : values) v = low + (high - low) * static_cast<float>(random() >> 8) * 0x1p-24F;
  return Tensor::from_data(values, sizes);
}

/// (batch, channels, size, size...) for a module of `ndim` dimensions.
inline Shape input_sizes(int ndim, std::int64_t channels, std::int64_t size = 8, std::int64_t batch = 2) {
  Shape sizes{batch, channels};
  for (int d = 0; d < ndim; ++d) sizes.push_back(size);
  return sizes;
}

/// The geometry of PyTorch's module tests: 3 groups of 2 channels, kernel 3, stride 2, padding 1.
template <class Conv>
Conv make_conv(bool bias = true, PaddingMode mode = PaddingMode::zeros) {
  if constexpr (std::constructible_from<Conv, nn::ConvTransposeOptions>) {
    return Conv(6, 6, 3, 2, 1, 0, 3, bias);
  } else {
    return Conv(6, 6, 3, 2, 1, 1, 3, bias, mode);
  }
}

template <class K>
typename K::Float make_float() {
  if constexpr (K::fused) {
    return typename K::Float(make_conv<decltype(std::declval<typename K::Float>().conv)>());
  } else {
    return make_conv<typename K::Float>();
  }
}

/// The sizes of a module's output.
inline Shape output_sizes(const nn::ConvAttributes& m, const Tensor& x) {
  const ConvGeometry g = m.geometry("test");
  Spatial in{1, 1, 1};
  for (int d = 0; d < g.ndim; ++d) in[static_cast<std::size_t>(3 - g.ndim + d)] = x.size(2 + d);
  Shape sizes{x.size(0), g.out_channels};
  const Spatial out = g.output_spatial(in);
  for (const std::int64_t s : g.used(out)) sizes.push_back(s);
  return sizes;
}

/// What run_module gives ConvAdd* to add.
inline Tensor extra_for(const nn::ConvAttributes& m, const Tensor& x) {
  return quantize_per_tensor(random_floats(output_sizes(m, x), 99), 0.02, 100, x.dtype());
}

/// forward with whatever else the class wants.
template <class Module>
Tensor run_module(const Module& m, const Tensor& x) {
  if constexpr (requires { m.forward(x); }) {
    return m.forward(x);
  } else {
    return m.forward(x, extra_for(m, x));
  }
}

}  // namespace qconv::testing
