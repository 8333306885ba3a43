#pragma once

#include <qconv/nn/init.hpp>
#include <qconv/tensor.hpp>

namespace qconv::nn {

/// A float32 tensor of values uniform in [low, high), drawn from the process's generator.
Tensor uniform(const Shape& sizes, double low, double high);
/// The same in [-bound, bound).
inline Tensor uniform(const Shape& sizes, double bound) { return uniform(sizes, -bound, bound); }

/// How many inputs each output of a convolution with this weight sums, as PyTorch's initializers count them.
std::int64_t fan_in(const Shape& weight_sizes);
/// The bounds that manual_seed documents.
double kaiming_bound(std::int64_t fan_in);
double bias_bound(std::int64_t fan_in);

}  // namespace qconv::nn
