#pragma once

#include <qconv/ops.hpp>

namespace qconv::ops {

/// What packed weights are for.
struct PackUse {
  bool from_memory = false;  ///< engines::WeightView::from_memory
  bool run_only = false;     ///< nobody will ask for the weights again: unpack() gives zeros
};

/// Checks weight, bias and `geometry` (whose channels come from the weight) and packs them, in the name of
/// `who`. Packed parameters are immutable: the result shares the weight's memory, which nobody may write to
/// from here on.
PackedParams prepack(std::string_view who, const Tensor& weight, const Bias& bias, ConvGeometry geometry,
                     const Padding& padding, const PrepackOptions& options, const PackUse& use = {});
/// The same of a copy: what the caller does to its tensor later is not seen.
PackedParams prepack_copy(std::string_view who, const Tensor& weight, const Bias& bias,
                          const ConvGeometry& geometry, const Padding& padding,
                          const PrepackOptions& options);
/// linear_prepack, sharing the weight's memory as prepack() does.
PackedParams prepack_linear(const Tensor& weight, const Bias& bias, const PrepackOptions& options,
                            const PackUse& use = {});

/// A tensor of the same sizes and parameters whose elements are one zero: it takes no memory.
Tensor hollow(const Tensor& weight);

}  // namespace qconv::ops
