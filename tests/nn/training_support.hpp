#pragma once

#include <cmath>
#include <string>

#include <qconv/nn/batch_norm.hpp>

#include "nn/module_kinds.hpp"

namespace qconv::testing {

/// Whether two float tensors differ by no more than `tolerance`, relative to 1 or to the larger value.
inline ::testing::AssertionResult near(const Tensor& a, const Tensor& b, double tolerance) {
  if (a.sizes() != b.sizes())
    return ::testing::AssertionFailure() << a.sizes().to_string() << " and " << b.sizes().to_string();
  const std::vector<float> x = a.to_vector<float>();
  const std::vector<float> y = b.to_vector<float>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double largest = std::max({1.0F, std::abs(x[i]), std::abs(y[i])});
    if (!(std::abs(x[i] - y[i]) <= tolerance * largest))
      return ::testing::AssertionFailure() << "element " << i << ": " << x[i] << " and " << y[i];
  }
  return ::testing::AssertionSuccess();
}

/// Statistics and parameters as training could have left them.
inline void randomize(nn::BatchNorm& bn, std::uint32_t seed) {
  const Shape sizes{bn.num_features()};
  bn.running_mean = random_floats(sizes, seed);
  bn.running_var = random_floats(sizes, seed + 1, 0.2F, 2);
  bn.weight = random_floats(sizes, seed + 2, 0.5F, 1.5F);
  bn.bias = random_floats(sizes, seed + 3);
}

}  // namespace qconv::testing
