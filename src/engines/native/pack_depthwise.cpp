#include "engines/native/pack_depthwise.hpp"

#include <algorithm>
#include <cstring>

#include "engines/native/kernels/lane_order.hpp"

namespace qconv::engines {
namespace {

constexpr auto kStep = static_cast<std::int64_t>(depthwise::kStep);

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The flat kernel tap of kernel row `row` and width tap `t` of a part.
std::int64_t flat_tap(const ConvGeometry& g, const SubConvolution& part, std::int64_t row, std::int64_t t) {
  const auto heights = static_cast<std::int64_t>(part[1].taps.size());
  const std::int64_t kd = part[0].taps[static_cast<std::size_t>(row / heights)];
  const std::int64_t kh = part[1].taps[static_cast<std::size_t>(row % heights)];
  return (kd * g.kernel[1] + kh) * g.kernel[2] + part[2].taps[static_cast<std::size_t>(t)];
}

// Four width taps a column: neighbours in the tap list are equally far apart.
void lay_along_width(const ConvGeometry& g, const SubConvolution& part, ColumnLayout& layout) {
  const auto width = static_cast<std::int64_t>(part[2].taps.size());
  layout.width_spacing = width > 1 ? part[2].offsets[1] - part[2].offsets[0] : 0;
  layout.column_rows = layout.kernel_rows;
  for (std::int64_t row = 0; row < layout.kernel_rows; ++row) {
    for (std::int64_t t = 0; t < width; t += kStep) {
      layout.step_rows.push_back(row);
      layout.step_offsets.push_back(part[2].offsets[static_cast<std::size_t>(t)]);
      for (std::int64_t i = t; i < t + kStep; ++i)
        layout.taps.push_back(i < width ? flat_tap(g, part, row, i) : -1);
    }
  }
}

// Four kernel rows a column.
void lay_along_rows(const ConvGeometry& g, const SubConvolution& part, ColumnLayout& layout) {
  layout.column_rows = ceil_div(layout.kernel_rows, kStep);
  for (std::int64_t group = 0; group < layout.column_rows; ++group) {
    for (std::size_t t = 0; t < part[2].taps.size(); ++t) {
      layout.step_rows.push_back(group);
      layout.step_offsets.push_back(part[2].offsets[t]);
      for (std::int64_t row = group * kStep; row < (group + 1) * kStep; ++row) {
        layout.taps.push_back(row < layout.kernel_rows ? flat_tap(g, part, row, static_cast<std::int64_t>(t))
                                                       : -1);
      }
    }
  }
}

ColumnLayout lay_out(const ConvGeometry& g, const SubConvolution& part) {
  ColumnLayout layout;
  layout.kernel_rows = static_cast<std::int64_t>(part[0].taps.size() * part[1].taps.size());
  const auto width = static_cast<std::int64_t>(part[2].taps.size());
  // Per output: a dot product for each step, and about two as much for each column that has to be interleaved
  // anew.
  const std::int64_t rows_cost = ceil_div(layout.kernel_rows, kStep) * (width + 2 * part[2].stride);
  const std::int64_t width_cost = layout.kernel_rows * (ceil_div(width, kStep) + 2 * part[2].stride);
  layout.along_width = width_cost < rows_cost;
  layout.along_width ? lay_along_width(g, part, layout) : lay_along_rows(g, part, layout);
  return layout;
}

}  // namespace

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
  const auto channels = static_cast<std::size_t>(geometry.out_channels);
  packed->blocks = (channels + kernel.block - 1) / kernel.block;
  std::size_t total = 0;
  for (SubConvolution& part : decompose(geometry)) {
    PackedDepthwisePart& p = packed->parts.emplace_back();
    p.layout = lay_out(geometry, part);
    p.part = std::move(part);
    for (std::size_t b = 0; b < packed->blocks; ++b) {
      p.block_offsets.push_back(total);
      total += p.layout.taps.size() * kernel.block;
    }
  }
  packed->values = AlignedBuffer<std::int8_t>(total);
  std::memset(packed->values.data(), 0, total);
  const auto kernel_taps = static_cast<std::size_t>(geometry.taps());
  for (PackedDepthwisePart& p : packed->parts) {
    p.sums.resize(channels);
    for (std::size_t b = 0; b < packed->blocks; ++b) {
      std::int8_t* block = packed->values.data() + p.block_offsets[b];
      for (std::size_t lane = 0; lane < kernel.block; ++lane) {
        const std::size_t channel = b * kernel.block + lane_channel(lane, kernel.block / 4);
        if (channel >= channels) continue;
        for (std::size_t i = 0; i < p.layout.taps.size(); ++i) {
          if (p.layout.taps[i] < 0) continue;
          const std::int8_t w =
              weights.values[channel * kernel_taps + static_cast<std::size_t>(p.layout.taps[i])];
          block[(i / depthwise::kStep * kernel.block + lane) * depthwise::kStep + i % depthwise::kStep] = w;
          p.sums[channel] += w;
        }
      }
    }
  }
  return packed;
}

}  // namespace qconv::engines
