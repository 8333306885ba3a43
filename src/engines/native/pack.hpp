#pragma once

#include <memory>
#include <vector>

#include "engines/engine.hpp"
#include "engines/native/kernels/igemm/registry.hpp"
#include "engines/native/sub_convolution.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::engines {

/// A run of output channels of one group, at most a tile wide: what one kernel call computes.
struct ColumnBlock {
  std::int64_t group;
  std::int64_t first;    ///< output channel, counted over all groups
  std::int64_t columns;  ///< 1 to the kernel's columns
};

/// The weights of one sub-convolution.
struct PackedPart {
  SubConvolution part;
  std::vector<std::size_t> block_offsets;  ///< into PackedIgemm::values, per column block
  std::vector<std::int32_t> sums;          ///< per output channel: the sum of this part's weights
};

/// Weights in the order in which the indirect GEMM kernels read them. Groups narrower than a vector are
/// merged: m groups become one whose weights are zero across the old borders, so that a vector is filled with
/// the channels of m groups.
struct PackedIgemm final : PackedWeights {
  ConvGeometry geometry;
  const igemm::Kernel* kernel_row = nullptr;
  std::int64_t groups = 1;  ///< after merging
  std::int64_t in_channels_per_group = 1;
  std::vector<std::int32_t> zero_points;  ///< per output channel; empty when all are 0
  std::vector<ColumnBlock> blocks;
  std::vector<PackedPart> parts;
  AlignedBuffer<std::int8_t> values;

  std::string kernel() const override { return kernel_row->name; }
};

std::shared_ptr<const PackedIgemm> pack_igemm(const ConvGeometry& geometry, const WeightView& weights,
                                              const igemm::Kernel& kernel);

}  // namespace qconv::engines
