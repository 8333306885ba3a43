#pragma once

#include <qconv/tensor.hpp>

namespace qconv::ops {

/// quantize_per_tensor of a float32 tensor to quint8 or qint8 with the parameters of `like`, into the memory
/// format that results have, in one go and on the operators' threads. `x` may lie in any format.
Tensor quantize_input(const Tensor& x, const Tensor& like);

/// dequantize of a quint8 or qint8 tensor that is quantized per tensor, in its memory format, on the
/// operators' threads.
Tensor dequantize_output(const Tensor& qx);

}  // namespace qconv::ops
