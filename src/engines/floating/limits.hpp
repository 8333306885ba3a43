#pragma once

#include <limits>

#include <qconv/float_convolution.hpp>

namespace qconv::engines {

/// The limits of a post op, infinite where it has none.
struct Limits {
  float min, max;

  /// NaN, which compares false, passes through.
  float operator()(float v) const noexcept {
    const float raised = v < min ? min : v;
    return raised > max ? max : raised;
  }
};

inline Limits limits_of(const FloatPostOp& post_op) noexcept {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {post_op.min.value_or(-kInfinity), post_op.max.value_or(kInfinity)};
}

}  // namespace qconv::engines
