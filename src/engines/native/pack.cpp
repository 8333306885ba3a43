#include "engines/native/pack.hpp"

#include <algorithm>
#include <cstring>

namespace qconv::engines {
namespace {

constexpr auto kStep = static_cast<std::int64_t>(igemm::kStep);

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// How many neighbouring groups to merge: as many as fit one vector of output channels. Weight zero points
// forbid it: they would turn the zeros across the borders into something else.
std::int64_t merged_groups(const ConvGeometry& g, const igemm::Kernel& kernel, bool zero_points) {
  std::int64_t most = static_cast<std::int64_t>(kernel.lanes) / g.out_channels_per_group();
  if (zero_points) most = 1;
  for (most = std::max<std::int64_t>(most, 1); g.groups % most != 0;) --most;
  return most;
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

std::vector<std::int64_t> flat_taps(const ConvGeometry& g, const SubConvolution& part) {
  std::vector<std::int64_t> flat;
  for (const std::int64_t kd : part[0].taps) {
    for (const std::int64_t kh : part[1].taps) {
      for (const std::int64_t kw : part[2].taps) flat.push_back((kd * g.kernel[1] + kh) * g.kernel[2] + kw);
    }
  }
  return flat;
}

// One block: [tap][channels / 4][padded columns][4], zeros beyond the channels and the columns.
void pack_block(const PackedIgemm& packed, const Source& source, const ColumnBlock& block,
                const std::vector<std::int64_t>& taps, std::int64_t padded_columns, std::int8_t* to,
                std::int32_t* sums) {
  const std::int64_t channels = packed.in_channels_per_group;
  const std::int64_t step_bytes = padded_columns * kStep;
  const std::int64_t tap_bytes = round_up(channels, kStep) / kStep * step_bytes;
  for (std::int64_t column = 0; column < block.columns; ++column) {
    const std::int64_t oc = block.first + column;
    const auto position = static_cast<std::int64_t>(packed.kernel_row->position(
        static_cast<std::size_t>(column), static_cast<std::size_t>(block.columns)));
    std::int32_t sum = 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int8_t* row = source.row(oc, block.group * channels + c);
      if (row == nullptr) continue;
      std::int8_t* target = to + c / kStep * step_bytes + position * kStep + c % kStep;
      for (std::size_t t = 0; t < taps.size(); ++t) {
        const std::int8_t w = row[taps[t]];
        target[static_cast<std::int64_t>(t) * tap_bytes] = w;
        sum += w;
      }
    }
    sums[oc] = sum;
  }
}

}  // namespace

std::shared_ptr<const PackedIgemm> pack_igemm(const ConvGeometry& geometry, const WeightView& weights,
                                              const igemm::Kernel& kernel) {
  auto packed = std::make_shared<PackedIgemm>();
  packed->geometry = geometry;
  packed->kernel_row = &kernel;
  const bool zero_points =
      std::any_of(weights.zero_points.begin(), weights.zero_points.end(), [](auto z) { return z != 0; });
  if (zero_points) packed->zero_points.assign(weights.zero_points.begin(), weights.zero_points.end());
  packed->groups = geometry.groups / merged_groups(geometry, kernel, zero_points);
  packed->in_channels_per_group = geometry.in_channels / packed->groups;

  const std::int64_t group_columns = geometry.out_channels / packed->groups;
  for (std::int64_t g = 0; g < packed->groups; ++g) {
    for (std::int64_t c = 0; c < group_columns; c += static_cast<std::int64_t>(kernel.columns)) {
      const std::int64_t columns =
          std::min<std::int64_t>(static_cast<std::int64_t>(kernel.columns), group_columns - c);
      packed->blocks.push_back({g, g * group_columns + c, columns});
    }
  }

  const auto padded = [&](const ColumnBlock& b) {
    return round_up(b.columns, static_cast<std::int64_t>(kernel.lanes));
  };
  std::size_t total = 0;
  for (SubConvolution& part : decompose(geometry)) {
    PackedPart& p = packed->parts.emplace_back();
    const std::int64_t row = taps(part) * round_up(packed->in_channels_per_group, kStep);
    for (const ColumnBlock& block : packed->blocks) {
      p.block_offsets.push_back(total);
      total += static_cast<std::size_t>(row * padded(block));
    }
    p.part = std::move(part);
    p.sums.resize(static_cast<std::size_t>(geometry.out_channels));
  }
  packed->values = AlignedBuffer<std::int8_t>(total);
  std::memset(packed->values.data(), 0, total);

  const Source source(geometry, weights.values);
  for (PackedPart& p : packed->parts) {
    const std::vector<std::int64_t> flat = flat_taps(geometry, p.part);
    for (std::size_t b = 0; b < packed->blocks.size(); ++b) {
      const ColumnBlock& block = packed->blocks[b];
      pack_block(*packed, source, block, flat, padded(block), packed->values.data() + p.block_offsets[b],
                 p.sums.data());
    }
  }
  return packed;
}

}  // namespace qconv::engines
