#include "engines/native/pack_depthwise.hpp"

#include <algorithm>
#include <cstring>

#include "engines/native/copy_weights.hpp"
#include "engines/native/kernels/lane_order.hpp"

namespace qconv::engines {
namespace {

constexpr auto kStep = static_cast<std::int64_t>(depthwise::kStep);

std::int64_t flat_tap(const ConvGeometry& g, const SubConvolution& part, std::size_t depth,
                      std::size_t height, std::size_t width) {
  return (part[0].taps[depth] * g.kernel[1] + part[1].taps[height]) * g.kernel[2] + part[2].taps[width];
}

// Four width taps a column: neighbours in the tap list are equally far apart.
ColumnLayout lay_along_width(const ConvGeometry& g, const SubConvolution& part) {
  ColumnLayout layout;
  const std::size_t width = part[2].taps.size();
  layout.width_spacing = width > 1 ? part[2].offsets[1] - part[2].offsets[0] : 0;
  std::int64_t group = 0;
  for (std::size_t depth = 0; depth < part[0].taps.size(); ++depth) {
    for (std::size_t height = 0; height < part[1].taps.size(); ++height, ++group) {
      layout.row_depths.insert(layout.row_depths.end(), depthwise::kStep, static_cast<std::int64_t>(depth));
      layout.row_heights.insert(layout.row_heights.end(), depthwise::kStep, part[1].offsets[height]);
      for (std::size_t t = 0; t < width; t += depthwise::kStep) {
        layout.step_groups.push_back(group);
        layout.step_offsets.push_back(part[2].offsets[t]);
        for (std::size_t i = t; i < t + depthwise::kStep; ++i) {
          layout.taps.push_back(i < width ? flat_tap(g, part, depth, height, i) : -1);
        }
      }
    }
  }
  return layout;
}

// The height positions that `rows` neighbouring output rows read, in order.
std::vector<std::int64_t> height_positions(const Phase& height, std::int64_t rows) {
  std::vector<std::int64_t> positions;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (const std::int64_t offset : height.offsets) positions.push_back(offset + r * height.stride);
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

// Four rows a column, for `rows` output rows.
ColumnLayout lay_along_rows(const ConvGeometry& g, const SubConvolution& part, std::int64_t rows) {
  ColumnLayout layout;
  layout.output_rows = rows;
  const std::vector<std::int64_t> positions = height_positions(part[1], rows);
  const std::vector<std::int64_t>& heights = part[1].offsets;
  for (std::size_t depth = 0; depth < part[0].taps.size(); ++depth) {
    for (std::size_t first = 0; first < positions.size(); first += depthwise::kStep) {
      const auto group = static_cast<std::int64_t>(layout.row_depths.size()) / kStep;
      const std::size_t last = std::min(first + depthwise::kStep, positions.size());
      for (std::size_t i = first; i < first + depthwise::kStep; ++i) {
        layout.row_depths.push_back(i < last ? static_cast<std::int64_t>(depth) : -1);
        layout.row_heights.push_back(i < last ? positions[i] : 0);
      }
      for (std::size_t width = 0; width < part[2].taps.size(); ++width) {
        layout.step_groups.push_back(group);
        layout.step_offsets.push_back(part[2].offsets[width]);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::size_t i = first; i < first + depthwise::kStep; ++i) {
            const auto at = i < last
                                ? std::find(heights.begin(), heights.end(), positions[i] - r * part[1].stride)
                                : heights.end();
            layout.taps.push_back(
                at == heights.end()
                    ? -1
                    : flat_tap(g, part, depth, static_cast<std::size_t>(at - heights.begin()), width));
          }
        }
      }
    }
  }
  return layout;
}

// What an output costs: its dot products, and its share of the columns that are interleaved for it, three
// times as dear.
std::int64_t cost(const ColumnLayout& layout, const Phase& width) {
  const auto groups = static_cast<std::int64_t>(layout.row_depths.size()) / kStep;
  return static_cast<std::int64_t>(layout.step_groups.size()) * 12 +
         3 * 12 * groups * width.stride / layout.output_rows;
}

ColumnLayout lay_out(const ConvGeometry& g, const SubConvolution& part) {
  ColumnLayout best = lay_along_width(g, part);
  // A kernel of one row has no rows to share.
  const std::int64_t most = part[1].taps.size() > 1 ? static_cast<std::int64_t>(depthwise::kMostRows) : 1;
  for (std::int64_t rows = 1; rows <= most; ++rows) {
    ColumnLayout layout = lay_along_rows(g, part, rows);
    if (cost(layout, part[2]) < cost(best, part[2])) best = std::move(layout);
  }
  return best;
}

// Whole blocks, then what is left in a block of as many pixels as fit, so that few lanes stay idle.
std::vector<DepthwiseBlock> cut_blocks(std::size_t channels, const depthwise::Kernel& kernel) {
  std::vector<DepthwiseBlock> blocks;
  const std::size_t quarter = kernel.block / kernel.most_pixels;
  for (std::size_t at = 0; at < channels;) {
    const std::size_t left = channels - at;
    DepthwiseBlock block{at, std::min(left, kernel.block), 1};
    if (left + quarter <= kernel.block) {
      block.pixels = std::min<std::size_t>(kernel.block / (left <= quarter ? quarter : kernel.block / 2),
                                           kernel.most_pixels);
      block.channels = std::min(left, kernel.block / block.pixels);
    }
    at += block.channels;
    blocks.push_back(block);
  }
  return blocks;
}

// Where tap `t` of lane `lane` is among the taps of a block: the sum of the two.
std::size_t lane_offset(const depthwise::Kernel& kernel, std::size_t lane) {
  if (kernel.tap_bytes == 1) return lane * depthwise::kStep;
  const std::size_t lanes = kernel.block / 4;
  return (lane / lanes * 2 * lanes + lane % lanes) * 4;
}
std::size_t tap_offset(const depthwise::Kernel& kernel, std::size_t t) {
  return kernel.tap_bytes == 1 ? t : (t / 2 * kernel.block / 4 * 2 + t % 2) * 2;
}

// The moves of a part, those of its first output row, which has every tap once, before the others.
std::vector<Move> moves_of(const ColumnLayout& layout, const depthwise::Kernel& kernel) {
  const std::size_t row_bytes = kernel.block * depthwise::kStep * kernel.tap_bytes;
  const std::size_t steps = layout.step_groups.size();
  const auto rows = static_cast<std::size_t>(layout.output_rows);
  std::vector<Move> moves;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t step = 0; step < steps; ++step) {
      for (std::size_t t = 0; t < depthwise::kStep; ++t) {
        const std::int64_t tap = layout.taps[(step * rows + row) * depthwise::kStep + t];
        const std::size_t to = (row * steps + step) * row_bytes + tap_offset(kernel, t);
        if (tap >= 0) moves.push_back({tap, static_cast<std::int64_t>(to)});
      }
    }
  }
  return moves;
}

}  // namespace

std::int64_t PackedDepthwise::channel(std::size_t b, std::size_t lane) const noexcept {
  const DepthwiseBlock& block = blocks[b];
  const std::size_t at = lane_channel(lane, kernel_row->block / 4) % (kernel_row->block / block.pixels);
  return at < block.channels ? static_cast<std::int64_t>(block.channel + at) : -1;
}

bool is_depthwise(const ConvGeometry& geometry, const WeightView& weights) {
  return geometry.groups > 1 && geometry.groups == geometry.in_channels &&
         geometry.groups == geometry.out_channels &&
         std::all_of(weights.zero_points.begin(), weights.zero_points.end(), [](auto z) { return z == 0; });
}

std::shared_ptr<const PackedDepthwise> pack_depthwise(const ConvGeometry& geometry, const WeightView& weights,
                                                      const depthwise::Kernel& kernel) {
  auto packed = std::make_shared<PackedDepthwise>();
  packed->geometry = geometry;
  packed->kernel_row = &kernel;
  packed->blocks = cut_blocks(static_cast<std::size_t>(geometry.out_channels), kernel);
  const std::size_t row_bytes = kernel.block * depthwise::kStep * kernel.tap_bytes;
  std::size_t total = 0;
  for (SubConvolution& part : decompose(geometry)) {
    PackedDepthwisePart& p = packed->parts.emplace_back();
    p.layout = lay_out(geometry, part);
    p.part = std::move(part);
    for (std::size_t b = 0; b < packed->blocks.size(); ++b) {
      p.block_offsets.push_back(total);
      total += p.layout.taps.size() / depthwise::kStep * row_bytes;
    }
  }
  packed->values = AlignedBuffer<std::int8_t>(total);
  std::memset(packed->values.data(), 0, total);
  const std::int64_t kernel_taps = geometry.taps();
  for (PackedDepthwisePart& p : packed->parts) {
    p.sums.resize(static_cast<std::size_t>(geometry.out_channels));
    const std::vector<Move> moves = moves_of(p.layout, kernel);
    const auto taps = static_cast<std::size_t>(engines::taps(p.part));
    const std::span<const Move> first_row(moves.data(), taps);
    const std::span<const Move> other_rows(moves.data() + taps, moves.size() - taps);
    const CopyWeights copy = copy_weights_of(static_cast<std::int64_t>(kernel.tap_bytes));
    for (std::size_t b = 0; b < packed->blocks.size(); ++b) {
      std::int8_t* block = packed->values.data() + p.block_offsets[b];
      for (std::size_t lane = 0; lane < kernel.block; ++lane) {
        const std::int64_t channel = packed->channel(b, lane);
        if (channel < 0) continue;
        const std::int8_t* from = weights.values + channel * kernel_taps;
        std::int8_t* to = block + lane_offset(kernel, lane);
        p.sums[static_cast<std::size_t>(channel)] = copy(first_row, from, to);
        copy(other_rows, from, to);
      }
    }
  }
  return packed;
}

}  // namespace qconv::engines
