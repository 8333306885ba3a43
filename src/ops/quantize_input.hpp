#pragma once

#include <qconv/tensor.hpp>

namespace qconv::ops {

/// quantize_per_tensor of a float32 tensor to quint8 or qint8 with the parameters of `like`, into the memory
/// format that results have, in one go and on the operators' threads. `x` may lie in any format.
Tensor quantize_input(const Tensor& x, const Tensor& like);

}  // namespace qconv::ops
