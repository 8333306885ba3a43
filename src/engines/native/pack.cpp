#include "engines/native/pack.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "engines/native/weight_columns.hpp"

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

// Whether a row of the kernel reads contiguous pixels.
bool has_whole_rows(const ConvGeometry& g) {
  return !g.transposed && g.groups == 1 && g.dilation[2] == 1 && g.kernel[2] > 1;
}

// Whether to take kernel rows whole: when that saves steps, and the input is narrow enough to be copied with
// its padding without being noticed.
bool suits_whole_rows(const ConvGeometry& g) {
  constexpr std::int64_t kNarrow = 32;
  return has_whole_rows(g) && g.in_channels % kStep != 0 && g.in_channels <= kNarrow;
}

// Taps that a fold makes one.
std::int64_t folded_taps(const ConvGeometry& g, Fold fold) {
  return (fold == Fold::none ? 1 : g.kernel[2]) * (fold == Fold::planes ? g.kernel[1] : 1);
}

// The fold that tile registers want, whose steps are long: one that saves a quarter of them.
Fold tile_fold(const ConvGeometry& g) {
  constexpr auto kBytes = static_cast<std::int64_t>(igemm::kRunBytes);
  constexpr std::int64_t kVeryNarrow = 4;
  if (!has_whole_rows(g)) return Fold::none;
  const auto steps = [&](Fold fold) {
    const std::int64_t taps = folded_taps(g, fold);
    return g.taps() / taps * ceil_div(taps * g.in_channels, kBytes);
  };
  if (g.in_channels <= kVeryNarrow && 4 * steps(Fold::planes) <= 3 * steps(Fold::rows)) return Fold::planes;
  return 4 * steps(Fold::rows) <= 3 * steps(Fold::none) ? Fold::rows : Fold::none;
}

// Whether tile registers, whatever of them stays empty, are faster than vectors: by the cycles for 32 outputs
// of 32 channels each, in which the sums of tiles take a detour through memory besides.
bool suits_tiles(const ConvGeometry& g, const IgemmKernels& kernels) {
  constexpr std::int64_t kTileCycles = 70;  // 4 products of 16 by 64 bytes and 64 by 16
  constexpr std::int64_t kDetourCycles = 320;
  constexpr std::int64_t kVectorCycles = 8;  // for a channel
  if (kernels.tiles.empty() || kernels.always_tiles) return !kernels.tiles.empty();
  const std::int64_t folded = folded_taps(g, tile_fold(g));
  const std::int64_t channels = g.in_channels_per_group() * folded;
  // A transposed convolution reads a part of its taps for each output.
  const std::int64_t phases = g.transposed ? g.stride[0] * g.stride[1] * g.stride[2] : 1;
  const std::int64_t taps = ceil_div(g.taps(), phases * folded);
  const std::int64_t steps = ceil_div(channels, static_cast<std::int64_t>(igemm::kRunBytes));
  return taps * steps * kTileCycles + kDetourCycles < taps * channels * kVectorCycles;
}

// The weights as the caller has them: [out][in of a group][taps], transposed [in][out of a group][taps].
class Source {
 public:
  Source(const ConvGeometry& g, const std::int8_t* values)
      : values_(values), in_(g.in_channels_per_group()), out_(g.out_channels_per_group()) {
    const std::int64_t taps = g.taps();
    group_stride_ = in_ * out_ * taps;
    out_stride_ = g.transposed ? taps : in_ * taps;
    in_stride_ = g.transposed ? out_ * taps : taps;
  }

  // The first weight of output channel `oc`, counted over all groups.
  const std::int8_t* row(std::int64_t oc) const {
    return values_ + oc / out_ * group_stride_ + oc % out_ * out_stride_;
  }
  // From an input channel of the group to the next.
  std::int64_t in_stride() const { return in_stride_; }

 private:
  const std::int8_t* values_;
  std::int64_t in_;
  std::int64_t out_;
  std::int64_t group_stride_;
  std::int64_t out_stride_;
  std::int64_t in_stride_;
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

// Channel `c` of `channels` is in the step and at the place of the result, of steps of `size` channels.
// Kernels that read whole steps beyond the last channel have zero weights there.
std::array<std::int64_t, 2> step_of(std::int64_t c, std::int64_t channels, std::int64_t size, bool beyond) {
  const std::int64_t tail = beyond ? 0 : channels % size;
  // The last step takes the last channels, and has weights for those that no step before it had.
  if (channels > size && c >= channels - tail) return {channels / size, size - channels + c};
  return {c / size, c % size};
}

// A column's weights, as packing wants to read them: per packed tap its channels one after another. The
// caller's own where they lie so, else in `staged`.
const std::int8_t* stage_column(const PackedIgemm& packed, const Source& source, std::int64_t oc,
                                const std::vector<std::int64_t>& taps, std::int8_t* staged) {
  const std::int64_t in = packed.geometry.in_channels_per_group();
  const std::int64_t folded = folded_taps(packed.geometry, packed.fold);
  const std::int64_t height = packed.fold == Fold::planes ? packed.geometry.kernel[1] : 1;
  const std::int8_t* const row = source.row(oc);
  const std::int64_t stride = source.in_stride();
  if (stride == 1 && taps.size() == 1) return row + taps[0];
  std::int8_t* to = staged;
  for (std::size_t t = 0; t < taps.size(); t += static_cast<std::size_t>(folded)) {
    // A folded tap has its pixels from left to right, each with the channels of all rows from top to bottom.
    for (std::int64_t pixel = 0; pixel < folded; ++pixel) {
      const std::int8_t* from = row + taps[t] + pixel % height * packed.geometry.kernel[2] + pixel / height;
      for (std::int64_t c = 0; c < in; ++c) to[c] = from[c * stride];
      to += in;
    }
  }
  return staged;
}

// Packs a block as [tap][step][column][channels of a step], and sums each tap's weights. A column has
// `channels` input channels, of which those of its own group have weights.
void pack_block(const PackedIgemm& packed, const Source& source, const ColumnBlock& block,
                std::int64_t channels, const std::vector<std::int64_t>& taps, std::int8_t* values,
                std::int32_t* tap_sums) {
  const std::int64_t in = packed.geometry.in_channels_per_group();
  const std::int64_t folded = folded_taps(packed.geometry, packed.fold);
  const auto step_bytes = static_cast<std::int64_t>(block.kernel->columns * igemm::kStep);
  const std::int64_t tap_bytes = static_cast<std::int64_t>(packed.steps) * step_bytes;
  std::vector<std::int64_t> places;  // of a tap's channels
  for (std::int64_t c = 0; c < folded * channels; ++c) {
    const auto [step, place] =
        step_of(c, folded * channels, kStep / packed.channel_bytes, packed.unit != nullptr);
    places.push_back(step * step_bytes + place * packed.channel_bytes);
  }
  const std::size_t count = static_cast<std::size_t>(folded * in);
  const std::size_t packed_taps = taps.size() / static_cast<std::size_t>(folded);
  std::vector<std::int8_t> staged(static_cast<std::size_t>(block.columns) * packed_taps * count);
  std::vector<WeightColumn> columns;
  for (std::int64_t column = 0; column < block.columns; ++column) {
    const std::int64_t oc = block.first + column;
    const std::int64_t own = oc / packed.geometry.out_channels_per_group() * in % channels;
    const std::size_t position = block.kernel->position(static_cast<std::size_t>(column));
    std::int8_t* const staging = staged.data() + static_cast<std::size_t>(column) * packed_taps * count;
    columns.push_back({stage_column(packed, source, oc, taps, staging), places.data() + own,
                       static_cast<std::int64_t>(position * igemm::kStep)});
    const std::int8_t* from = columns.back().from;
    for (std::size_t tap = 0; tap < packed_taps; ++tap, from += count) {
      tap_sums[tap * packed.lanes + position] += sum_weights({from, count});
    }
  }
  const bool words = packed.channel_bytes == 1 && in % kStep == 0 && in_words(places);
  const CopyColumns copy = words ? copy_words : copy_columns_of(packed.channel_bytes);
  for (std::size_t tap = 0; tap < packed_taps; ++tap, values += tap_bytes) {
    copy(columns, tap * count, count, values);
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
    const bool tiles = suits_tiles(geometry, kernels);
    const std::span<const igemm::Kernel> chosen = tiles ? kernels.tiles : kernels.igemm;
    const igemm::Kernel& widest = chosen.front();
    packed->unit = widest.unit;
    packed->groups = geometry.groups / merged_groups(geometry, widest, zero_points);
    packed->in_channels_per_group = geometry.in_channels / packed->groups;
    packed->fold = tiles ? tile_fold(geometry) : suits_whole_rows(geometry) ? Fold::rows : Fold::none;
    packed->tap_channels = packed->in_channels_per_group * folded_taps(geometry, packed->fold);
    packed->channel_bytes = static_cast<std::int64_t>(widest.channel_bytes());
    packed->padded_lines =
        packed->fold != Fold::none || (!tiles && packed->tap_channels < kStep) || packed->channel_bytes > 1;
    const auto step = static_cast<std::int64_t>(widest.step);
    packed->steps =
        static_cast<std::size_t>(ceil_div(packed->tap_channels, step) * step * packed->channel_bytes / kStep);
    cut_blocks(*packed, chosen);
  }

  std::size_t total = 0;
  for (SubConvolution& part : decompose(geometry)) {
    PackedPart& p = packed->parts.emplace_back();
    p.taps = taps(part) / folded_taps(geometry, packed->fold);
    for (const ColumnBlock& block : packed->blocks) {
      p.block_offsets.push_back(total);
      total += static_cast<std::size_t>(p.taps) * packed->steps * block.kernel->columns * igemm::kStep;
    }
    p.part = std::move(part);
  }
  packed->values = AlignedBuffer<std::int8_t>(total);
  std::memset(packed->values.data(), 0, total);

  const Source source(geometry, weights.values);
  // The grouped kernels have the channels of all groups in the same place, since they shuffle the input
  // instead.
  const std::int64_t channels = grouped ? geometry.in_channels_per_group() : packed->in_channels_per_group;
  for (PackedPart& p : packed->parts) {
    const std::vector<std::int64_t> flat = flat_taps(geometry, p.part);
    p.sums.resize(packed->lanes);
    p.tap_sums.resize(static_cast<std::size_t>(p.taps) * packed->lanes);
    if (flat.empty()) continue;  // outputs that are the bias alone
    for (std::size_t b = 0; b < packed->blocks.size(); ++b) {
      const ColumnBlock& block = packed->blocks[b];
      pack_block(*packed, source, block, channels, flat, packed->values.data() + p.block_offsets[b],
                 p.tap_sums.data() + block.lane);
    }
    for (auto sums = p.tap_sums.begin(); sums != p.tap_sums.end();
         sums += static_cast<std::ptrdiff_t>(packed->lanes)) {
      std::transform(p.sums.begin(), p.sums.end(), sums, p.sums.begin(), std::plus<>());
    }
  }
  return packed;
}

}  // namespace qconv::engines
