#pragma once

#include <cstdint>
#include <string>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// What a tensor's elements are like; of a quantized tensor, the real numbers that they stand for.
struct TensorStats {
  double min = 0;  ///< of the finite elements; 0 when there are none
  double max = 0;
  double mean = 0;
  std::int64_t not_finite = 0;
};

TensorStats stats_of(const Tensor& tensor);

/// "qint8 per channel, axis 0, 64 scales 0.0011 to 0.0213, zero points 0", or nothing when not quantized.
std::string describe(const QParams& qparams);

/// "1x3x224x224"; "scalar" without dimensions and "?" for a size that is not known (-1).
std::string sizes_text(const Shape& sizes);

}  // namespace qconv::cli
