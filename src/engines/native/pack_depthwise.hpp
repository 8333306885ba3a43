#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engines/engine.hpp"
#include "engines/native/kernels/depthwise/registry.hpp"
#include "engines/native/sub_convolution.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::engines {

/// How the taps of a sub-convolution become columns of four. A kernel row is a combination of a depth and a
/// height tap. Either four kernel rows at one width position make a column (2-D and 3-D kernels), or four
/// width taps of one kernel row do (1-D, and wide kernels of few rows).
struct ColumnLayout {
  bool along_width = false;
  std::int64_t kernel_rows = 0;
  std::int64_t column_rows = 0;            ///< columns at one width position
  std::int64_t width_spacing = 0;          ///< along_width: from one tap of a column to the next
  std::vector<std::int64_t> step_rows;     ///< per step: which of the column_rows it reads ...
  std::vector<std::int64_t> step_offsets;  ///< ... and from which width offset (as Phase::offsets)
  std::vector<std::int64_t> taps;          ///< per step, four: the flat tap of the kernel, or -1
};

/// The weights of one sub-convolution.
struct PackedDepthwisePart {
  SubConvolution part;
  ColumnLayout layout;
  std::vector<std::size_t> block_offsets;  ///< into PackedDepthwise::values, per block of channels
  std::vector<std::int32_t> sums;          ///< per channel
};

/// Weights in the order in which the depthwise kernels read them: per block of channels [step][lane][4].
struct PackedDepthwise final : PackedWeights {
  ConvGeometry geometry;
  const depthwise::Kernel* kernel_row = nullptr;
  std::size_t blocks = 0;
  std::vector<PackedDepthwisePart> parts;
  AlignedBuffer<std::int8_t> values;

  std::string kernel() const override { return kernel_row->name; }
};

/// Whether the depthwise kernels can run such weights: one input and one output channel in each group, no
/// zero points.
bool is_depthwise(const ConvGeometry& geometry, const WeightView& weights);

std::shared_ptr<const PackedDepthwise> pack_depthwise(const ConvGeometry& geometry, const WeightView& weights,
                                                      const depthwise::Kernel& kernel);

}  // namespace qconv::engines
