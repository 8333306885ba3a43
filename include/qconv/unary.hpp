#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <qconv/export.hpp>

namespace qconv {

/// The functions of one number that networks put between convolutions.
enum class UnaryKind {
  abs,
  affine,  ///< alpha * x + beta
  ceil,
  elu,  ///< x, below 0 alpha * (exp(x) - 1)
  erf,
  exp,
  floor,
  gelu,         ///< x * (1 + erf(x / sqrt(2))) / 2
  gelu_tanh,    ///< x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2
  hardsigmoid,  ///< min(max(alpha * x + beta, 0), 1)
  hardswish,    ///< x * min(max(x / 6 + 1 / 2, 0), 1)
  leaky_relu,   ///< x, below 0 alpha * x
  log,
  mish,  ///< x * tanh(log(1 + exp(x)))
  neg,
  pow,  ///< x ^ alpha
  reciprocal,
  sigmoid,   ///< 1 / (1 + exp(-x))
  silu,      ///< x / (1 + exp(-x))
  softplus,  ///< log(1 + exp(x))
  sqrt,
  tanh,
};

/// "silu"; torch.nn.functional's or torch's name.
QCONV_API std::string_view to_string(UnaryKind kind) noexcept;

/// A function with its parameters, which only those kinds read that name them.
struct Unary {
  UnaryKind kind = UnaryKind::affine;
  float alpha = 1;
  float beta = 0;

  /// Computed in float64 and rounded once.
  QCONV_API float operator()(float x) const noexcept;
  /// "leaky_relu(0.01)".
  QCONV_API std::string to_string() const;
  friend bool operator==(const Unary&, const Unary&) = default;
};

}  // namespace qconv
