#pragma once

#include <qconv/ops.hpp>

namespace qconv::ops {

/// One call of a packed convolution.
struct RunRequest {
  std::string_view who;            ///< the operator's name, for messages
  const Tensor& input;             ///< quantized per tensor
  const Tensor* addend = nullptr;  ///< added before rounding, when there is one
  double output_scale = 1;
  std::int64_t output_zero_point = 0;
  std::optional<DType> output_dtype = std::nullopt;  ///< the input's when absent
  bool relu = false;
};

/// Checks the call and runs it. The result is a fresh channels-last tensor.
Tensor run(const ConvPackedParams& packed, const RunRequest& request);

}  // namespace qconv::ops
