#pragma once

#include <memory>
#include <span>
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
  const igemm::Kernel* kernel;
  std::size_t lane;  ///< where its columns start in arrays of whole vectors
};

/// The weights of one sub-convolution.
struct PackedPart {
  SubConvolution part;
  std::int64_t taps;  ///< as packed: a whole kernel row or plane may be one, see PackedIgemm::fold
  std::vector<std::size_t> block_offsets;  ///< into PackedIgemm::values, per column block
  std::vector<std::int32_t> tap_sums;      ///< [tap][lane of all blocks]: sums of the weights of one tap
  std::vector<std::int32_t> sums;          ///< [lane]: the same over all taps
};

/// How much of the kernel is packed as one tap.
enum class Fold : std::uint8_t { none, rows, planes };

/// Weights in the order in which the indirect GEMM and the grouped kernels read them.
///
/// Groups of as many channels out as in, few of each, take the grouped kernels, many groups to a block. Other
/// groups narrower than a vector are merged: m groups become one whose weights are zero across the old
/// borders, so that a vector is filled with the channels of m groups.
///
/// With few input channels, a row of the kernel is one tap (Fold::rows): it is contiguous in a channels-last
/// input, so that no step is left half empty. With very few a plane of it is (Fold::planes), where steps are
/// as long as a tile register. Both are read from a PaddedLines, as are pixels of fewer than four bytes.
struct PackedIgemm final : PackedWeights {
  ConvGeometry geometry;
  Fold fold = Fold::none;
  bool padded_lines = false;               ///< the input is read from copies of its lines, see PaddedLines
  std::int64_t groups = 1;                 ///< after merging; of the grouped kernels, blocks
  std::int64_t in_channels_per_group = 1;  ///< of such a group
  std::int64_t channel_bytes = 1;          ///< 2 where the kernels take words: input and weights are widened
  std::int64_t tap_channels = 1;           ///< that a pixel reads at each tap
  std::size_t lanes = 0;                   ///< columns of all blocks, each in whole vectors
  std::int64_t tile_rows = 1;              ///< most output pixels that every block's kernel takes
  std::vector<std::int32_t> zero_points;   ///< per output channel; empty when all are 0
  std::vector<ColumnBlock> blocks;
  std::vector<PackedPart> parts;
  const igemm::TileUnit* unit = nullptr;  ///< where the kernels use tile registers: all of them or none
  std::vector<std::uint8_t> spread;       ///< igemm::Args::spread
  std::size_t steps = 0;                  ///< igemm::Args::steps
  AlignedBuffer<std::int8_t> values;

  std::string kernel() const override { return blocks.front().kernel->name; }

  /// Calls f(output channel, its lane) for all of them.
  template <class F>
  void for_each_column(const F& f) const {
    for (const ColumnBlock& block : blocks) {
      for (std::int64_t c = 0; c < block.columns; ++c) {
        f(static_cast<std::size_t>(block.first + c),
          block.lane + block.kernel->position(static_cast<std::size_t>(c)));
      }
    }
  }
};

/// The kernels of an instruction set that pack_igemm chooses from.
struct IgemmKernels {
  std::span<const igemm::Kernel> igemm;
  std::span<const igemm::Kernel> grouped;
  std::span<const igemm::Kernel> tiles;  ///< in tile registers
  bool always_tiles = false;             ///< where there are any, not only where they are faster
};

std::shared_ptr<const PackedIgemm> pack_igemm(const ConvGeometry& geometry, const WeightView& weights,
                                              const IgemmKernels& kernels);

}  // namespace qconv::engines
