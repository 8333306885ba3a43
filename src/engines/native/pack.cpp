#include "engines/native/pack.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace qconv::engines {
namespace {

constexpr auto kStep = static_cast<std::int64_t>(igemm::kStep);

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// How many neighbouring groups to merge: as many as fit one vector of output channels. Weight zero points
// forbid it: they would turn the zeros across the borders into something else.
std::int64_t merged_groups(const ConvGeometry& g, const igemm::Kernel& kernel, bool zero_points) {
  std::int64_t most = static_cast<std::int64_t>(kernel.lanes()) / g.out_channels_per_group();
  if (zero_points) most = 1;
  for (most = std::max<std::int64_t>(most, 1); g.groups % most != 0;) --most;
  return most;
}

// Whether a 128-bit part of a block, 16 channels, holds whole groups of the grouped kernels, and a group does
// not fill vectors by itself.
bool suits_grouped(const ConvGeometry& g, const IgemmKernels& kernels, bool zero_points) {
  if (kernels.grouped.empty() || g.groups == 1 || zero_points) return false;
  const std::int64_t channels = g.out_channels_per_group();
  return channels == g.in_channels_per_group() && channels <= kernels.grouped.front().widest_group &&
         16 % channels == 0;
}

// Whether to take kernel rows whole: when that saves steps, and the input is narrow enough to be copied with
// its padding without being noticed.
bool suits_whole_rows(const ConvGeometry& g) {
  constexpr std::int64_t kNarrow = 32;
  return !g.transposed && g.groups == 1 && g.dilation[2] == 1 && g.kernel[2] > 1 &&
         g.in_channels % kStep != 0 && g.in_channels <= kNarrow;
}

// The weight rows as the caller has them.
class Source {
 public:
  Source(const ConvGeometry& g, const std::int8_t* values) : g_(g), values_(values) {}

  // Weight of output channel `oc` and input channel `ic`, both counted over all groups; null when they are in
  // different ones.
  const std::int8_t* row(std::int64_t oc, std::int64_t ic) const {
    const std::int64_t in = g_.in_channels_per_group();
    const std::int64_t out = g_.out_channels_per_group();
    if (oc / out != ic / in) return nullptr;
    const std::int64_t index = g_.transposed ? ic * out + oc % out : oc * in + ic % in;
    return values_ + index * g_.taps();
  }

 private:
  const ConvGeometry& g_;
  const std::int8_t* values_;
};

// The flat kernel taps of a part, each row of the kernel from left to right.
std::vector<std::int64_t> flat_taps(const ConvGeometry& g, const SubConvolution& part) {
  std::vector<std::int64_t> flat;
  for (const std::int64_t kd : part[0].taps) {
    for (const std::int64_t kh : part[1].taps) {
      for (const std::int64_t kw : part[2].taps) flat.push_back((kd * g.kernel[1] + kh) * g.kernel[2] + kw);
    }
  }
  return flat;
}

// The smallest kernel of at least so many vectors; the widest when there is none.
const igemm::Kernel* narrowest(std::span<const igemm::Kernel> kernels, std::int64_t vectors) {
  const igemm::Kernel* best = &kernels.front();
  for (const igemm::Kernel& k : kernels) {
    if (static_cast<std::int64_t>(k.vectors) >= vectors && k.vectors <= best->vectors) best = &k;
  }
  return best;
}

// Cuts the columns of every group into blocks of equal numbers of vectors, or one less.
void cut_blocks(PackedIgemm& packed, std::span<const igemm::Kernel> kernels) {
  const std::int64_t columns = packed.geometry.out_channels / packed.groups;
  const auto lanes = static_cast<std::int64_t>(kernels.front().lanes());
  const std::int64_t vectors = ceil_div(columns, lanes);
  const std::int64_t count = ceil_div(vectors, static_cast<std::int64_t>(kernels.front().vectors));
  packed.tile_rows = INT32_MAX;
  for (std::int64_t g = 0; g < packed.groups; ++g) {
    std::int64_t at = 0;
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t wide = vectors / count + (b < vectors % count ? 1 : 0);
      const igemm::Kernel* kernel = narrowest(kernels, wide);
      const std::int64_t here = std::min(wide * lanes, columns - at);
      packed.blocks.push_back({g, g * columns + at, here, kernel, packed.lanes});
      packed.lanes += kernel->columns;
      packed.tile_rows = std::min(packed.tile_rows, static_cast<std::int64_t>(kernel->rows));
      at += here;
    }
  }
}

// Blocks of the grouped kernels: as many channels as fit, whatever their groups.
void cut_grouped_blocks(PackedIgemm& packed, const igemm::Kernel& kernel) {
  const auto columns = static_cast<std::int64_t>(kernel.columns);
  for (std::int64_t at = 0; at < packed.geometry.out_channels; at += columns) {
    const std::int64_t here = std::min(columns, packed.geometry.out_channels - at);
    packed.blocks.push_back({at / columns, at, here, &kernel, packed.lanes});
    packed.lanes += kernel.columns;
  }
  packed.tile_rows = static_cast<std::int64_t>(kernel.rows);
}

// The shuffles of the grouped kernels: lane i of a part of vector v computes channel 4 v + i of the
// part's 16.
void fill_spread(PackedIgemm& packed) {
  const std::int64_t channels = packed.geometry.in_channels_per_group();
  packed.steps = static_cast<std::size_t>(ceil_div(channels, kStep));
  for (std::int64_t s = 0; s < static_cast<std::int64_t>(packed.steps); ++s) {
    for (std::int64_t channel = 0; channel < 16; ++channel) {
      for (std::int64_t i = 0; i < kStep; ++i) {
        const std::int64_t c = s * kStep + i;
        packed.spread.push_back(c < channels ? static_cast<std::uint8_t>(channel / channels * channels + c)
                                             : std::uint8_t{0x80});
      }
    }
  }
}

// Where the weights of one block go: [tap][step][column][channels of a step].
struct Target {
  std::int8_t* values;
  std::int64_t channel_bytes;
  std::int64_t step_bytes;
  std::int64_t tap_bytes;
  std::int32_t* tap_sums;  // at the block's first lane
  std::size_t lanes;       // from the sums of one tap to those of the next

  void put(std::int64_t tap, std::int64_t step, std::int64_t position, std::int64_t channel,
           std::int8_t w) const {
    std::int8_t* to =
        values + tap * tap_bytes + step * step_bytes + position * kStep + channel * channel_bytes;
    to[0] = w;
    if (channel_bytes == 2) to[1] = static_cast<std::int8_t>(w < 0 ? -1 : 0);
    tap_sums[static_cast<std::size_t>(tap) * lanes + static_cast<std::size_t>(position)] += w;
  }
};

// Channel `c` of `channels` is in the step and at the place of the result, of steps of `size` channels.
std::array<std::int64_t, 2> step_of(std::int64_t c, std::int64_t channels, std::int64_t size) {
  const std::int64_t tail = channels % size;
  // The last step takes the last channels, and has weights for those that no step before it had.
  if (channels > size && c >= channels - tail) return {channels / size, size - channels + c};
  return {c / size, c % size};
}

void pack_block(const PackedIgemm& packed, const Source& source, const ColumnBlock& block,
                const std::vector<std::int64_t>& taps, const Target& target) {
  const std::int64_t channels = packed.in_channels_per_group;
  const std::int64_t width = packed.tap_channels / channels;  // kernel taps in one packed tap
  for (std::int64_t column = 0; column < block.columns; ++column) {
    const std::int64_t oc = block.first + column;
    const auto position = static_cast<std::int64_t>(block.kernel->position(static_cast<std::size_t>(column)));
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int8_t* row = source.row(oc, block.group * channels + c);
      if (row == nullptr) continue;
      for (std::size_t t = 0; t < taps.size(); ++t) {
        const auto tap = static_cast<std::int64_t>(t);
        const auto [step, byte] =
            step_of(tap % width * channels + c, packed.tap_channels, kStep / packed.channel_bytes);
        target.put(tap / width, step, position, byte, row[taps[t]]);
      }
    }
  }
}

void pack_grouped_block(const PackedIgemm& packed, const Source& source, const ColumnBlock& block,
                        const std::vector<std::int64_t>& taps, const Target& target) {
  const std::int64_t channels = packed.geometry.in_channels_per_group();
  for (std::int64_t column = 0; column < block.columns; ++column) {
    const std::int64_t oc = block.first + column;
    const auto position = static_cast<std::int64_t>(block.kernel->position(static_cast<std::size_t>(column)));
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int8_t* row = source.row(oc, oc / channels * channels + c);
      for (std::size_t t = 0; t < taps.size(); ++t) {
        target.put(static_cast<std::int64_t>(t), c / kStep, position, c % kStep, row[taps[t]]);
      }
    }
  }
}

}  // namespace

std::shared_ptr<const PackedIgemm> pack_igemm(const ConvGeometry& geometry, const WeightView& weights,
                                              const IgemmKernels& kernels) {
  auto packed = std::make_shared<PackedIgemm>();
  packed->geometry = geometry;
  const bool zero_points =
      std::any_of(weights.zero_points.begin(), weights.zero_points.end(), [](auto z) { return z != 0; });
  if (zero_points) packed->zero_points.assign(weights.zero_points.begin(), weights.zero_points.end());
  const bool grouped = suits_grouped(geometry, kernels, zero_points);
  if (grouped) {
    cut_grouped_blocks(*packed, kernels.grouped.front());
    fill_spread(*packed);
    packed->groups = static_cast<std::int64_t>(packed->blocks.size());
    packed->in_channels_per_group = static_cast<std::int64_t>(kernels.grouped.front().columns);
    packed->tap_channels = packed->in_channels_per_group;
  } else {
    packed->groups = geometry.groups / merged_groups(geometry, kernels.igemm.front(), zero_points);
    packed->in_channels_per_group = geometry.in_channels / packed->groups;
    packed->whole_rows = suits_whole_rows(geometry);
    packed->tap_channels = packed->in_channels_per_group * (packed->whole_rows ? geometry.kernel[2] : 1);
    packed->channel_bytes = static_cast<std::int64_t>(kernels.igemm.front().channel_bytes());
    packed->padded_lines = packed->whole_rows || packed->tap_channels < kStep || packed->channel_bytes > 1;
    packed->steps = static_cast<std::size_t>(ceil_div(packed->tap_channels * packed->channel_bytes, kStep));
    cut_blocks(*packed, kernels.igemm);
  }

  std::size_t total = 0;
  for (SubConvolution& part : decompose(geometry)) {
    PackedPart& p = packed->parts.emplace_back();
    p.taps = taps(part) / (packed->whole_rows ? geometry.kernel[2] : 1);
    for (const ColumnBlock& block : packed->blocks) {
      p.block_offsets.push_back(total);
      total += static_cast<std::size_t>(p.taps) * packed->steps * block.kernel->columns * igemm::kStep;
    }
    p.part = std::move(part);
  }
  packed->values = AlignedBuffer<std::int8_t>(total);
  std::memset(packed->values.data(), 0, total);

  const Source source(geometry, weights.values);
  for (PackedPart& p : packed->parts) {
    const std::vector<std::int64_t> flat = flat_taps(geometry, p.part);
    p.tap_sums.resize(static_cast<std::size_t>(p.taps) * packed->lanes);
    for (std::size_t b = 0; b < packed->blocks.size(); ++b) {
      const ColumnBlock& block = packed->blocks[b];
      const auto step_bytes = static_cast<std::int64_t>(block.kernel->columns * igemm::kStep);
      const Target target{packed->values.data() + p.block_offsets[b],
                          packed->channel_bytes,
                          step_bytes,
                          static_cast<std::int64_t>(packed->steps) * step_bytes,
                          p.tap_sums.data() + block.lane,
                          packed->lanes};
      (grouped ? pack_grouped_block : pack_block)(*packed, source, block, flat, target);
    }
    p.sums.resize(packed->lanes);
    for (std::size_t i = 0; i < p.tap_sums.size(); ++i) p.sums[i % packed->lanes] += p.tap_sums[i];
  }
  return packed;
}

}  // namespace qconv::engines
