#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engines/engine.hpp"
#include "engines/native/kernels/depthwise/registry.hpp"
#include "engines/native/sub_convolution.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::engines {

/// How the taps of a sub-convolution become columns of four. Either four input rows at one width position
/// make a column (2-D and 3-D kernels); it then serves a few output rows, whose weights differ by a shift. Or
/// four width taps of one row do (1-D, and wide kernels of few rows).
struct ColumnLayout {
  std::int64_t output_rows = 1;    ///< that share columns
  std::int64_t width_spacing = 0;  ///< from one tap of a column to the next
  /// Per group of columns, four: the depth tap, or -1 for none, and the height position of the row that it
  /// reads, as Phase::offsets of the first output row.
  std::vector<std::int64_t> row_depths;
  std::vector<std::int64_t> row_heights;
  std::vector<std::int64_t> step_groups;   ///< per step: which group it reads ...
  std::vector<std::int64_t> step_offsets;  ///< ... and at which width offset
  std::vector<std::int64_t> taps;          ///< [step][output row][4]: the flat tap of the kernel, or -1
};

/// The weights of one sub-convolution.
struct PackedDepthwisePart {
  SubConvolution part;
  ColumnLayout layout;
  std::vector<std::size_t> block_offsets;  ///< into PackedDepthwise::values, per block of channels
  std::vector<std::int32_t> sums;          ///< per channel
};

/// Neighbouring channels that a kernel computes at once, and how many pixels of them fill its vectors.
struct DepthwiseBlock {
  std::size_t channel;
  std::size_t channels;
  std::size_t pixels;
};

/// Weights in the order in which the depthwise kernels read them: per block of channels
/// [output row][step][lane][4].
struct PackedDepthwise final : PackedWeights {
  ConvGeometry geometry;
  const depthwise::Kernel* kernel_row = nullptr;
  std::vector<DepthwiseBlock> blocks;
  std::vector<PackedDepthwisePart> parts;
  AlignedBuffer<std::int8_t> values;

  std::string kernel() const override { return kernel_row->name; }
  /// The channel that lane `lane` of block `b` holds, or -1.
  std::int64_t channel(std::size_t b, std::size_t lane) const noexcept;
};

/// Whether the depthwise kernels can run such weights: one input and one output channel in each group, no
/// zero points.
bool is_depthwise(const ConvGeometry& geometry, const WeightView& weights);

std::shared_ptr<const PackedDepthwise> pack_depthwise(const ConvGeometry& geometry, const WeightView& weights,
                                                      const depthwise::Kernel& kernel);

}  // namespace qconv::engines
