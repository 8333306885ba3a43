#include "engines/native/pack_winograd.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace qconv::engines {
namespace {

using winograd::kPatch;
using winograd::kPoints;

constexpr std::size_t kTaps = 9;

// 24 G, divided by what the output transform multiplies with (to_outputs, kernels/winograd/body.hpp).
template <class Get>
std::array<std::int32_t, kPatch> to_points(const Get& w) {
  const std::int32_t outer = w(0) + w(2);
  const std::int32_t wide = w(0) + 4 * w(2);
  return {6 * w(0), -2 * (outer + w(1)), -2 * (outer - w(1)), wide + 2 * w(1), wide - 2 * w(1), 6 * w(2)};
}

// At most 49 * 255 in magnitude: no row of the matrix has coefficients of more than 7 altogether.
std::array<std::int16_t, kPoints> transform_kernel(const std::array<std::int32_t, kTaps>& w) {
  std::array<std::array<std::int32_t, kPatch>, 3> rows;
  for (std::size_t x = 0; x < 3; ++x) rows[x] = to_points([&](std::size_t y) { return w[3 * y + x]; });
  std::array<std::int16_t, kPoints> points;
  for (std::size_t y = 0; y < kPatch; ++y) {
    const auto row = to_points([&](std::size_t x) { return rows[x][y]; });
    for (std::size_t x = 0; x < kPatch; ++x) points[y * kPatch + x] = static_cast<std::int16_t>(row[x]);
  }
  return points;
}

}  // namespace

std::string winograd_declines(const ConvGeometry& g, const WeightView& weights) {
  if (g.transposed || g.groups != 1) return "must be one group, not transposed";
  if (g.kernel[1] != 3 || g.kernel[2] != 3) return "the kernel must be 3 x 3 in height and width";
  if (g.stride[1] != 1 || g.stride[2] != 1) return "the stride must be 1 in height and width";
  // The sums of a channel lie in an interval of this width, of which the arithmetic keeps 26 bits.
  const std::int64_t reduction = g.reduction();
  for (std::int64_t oc = 0; oc < g.out_channels; ++oc) {
    std::int64_t width = 0;
    for (std::int64_t i = 0; i < reduction; ++i) {
      width +=
          std::abs(weights.values[oc * reduction + i] - weights.zero_points[static_cast<std::size_t>(oc)]);
    }
    if (255 * width >= std::int64_t{1} << (32 - winograd::kSpareBits))
      return "the weights must sum up to less";
  }
  return {};
}

PackedWinograd::PackedWinograd(const ConvGeometry& geometry, const WeightView& weights,
                               const winograd::Kernel& kernel, std::shared_ptr<const PackedWeights> general)
    : geometry_(geometry),
      kernel_(kernel),
      general_(std::move(general)),
      values_(weights.values, weights.values + geometry.weight_sizes().numel()),
      zero_points_(weights.zero_points.begin(), weights.zero_points.end()) {
  const std::int64_t reduction = geometry.reduction();
  for (std::int64_t oc = 0; oc < geometry.out_channels; ++oc) {
    std::int64_t positive = 0;
    std::int64_t negative = 0;
    for (std::int64_t i = 0; i < reduction; ++i) {
      const std::int32_t w =
          weights.values[oc * reduction + i] - weights.zero_points[static_cast<std::size_t>(oc)];
      (w > 0 ? positive : negative) += std::abs(w);
    }
    positive_.push_back(positive);
    negative_.push_back(negative);
  }
}

std::int64_t PackedWinograd::least_sum(std::int64_t oc, std::int64_t za) const noexcept {
  const auto c = static_cast<std::size_t>(oc);
  return -positive_[c] * za - negative_[c] * (255 - za);
}

std::int64_t PackedWinograd::greatest_sum(std::int64_t oc, std::int64_t za) const noexcept {
  const auto c = static_cast<std::size_t>(oc);
  return positive_[c] * (255 - za) + negative_[c] * za;
}

const WinogradWeights& PackedWinograd::transformed() const {
  std::call_once(once_, [this] { transform(); });
  return transformed_;
}

void PackedWinograd::transform() const {
  const auto lanes = static_cast<std::int64_t>(kernel_.lanes);
  const std::int64_t most = static_cast<std::int64_t>(kernel_.columns) / lanes;
  const std::int64_t vectors = (geometry_.out_channels + lanes - 1) / lanes;
  const std::int64_t count = (vectors + most - 1) / most;
  const std::int64_t depth = geometry_.kernel[0];
  const std::int64_t pairs = (geometry_.in_channels + 1) / 2;
  std::size_t total = 0;
  for (std::int64_t p = 0; p < count; ++p) {
    const std::int64_t first = p * vectors / count;
    const std::int64_t width = (p + 1) * vectors / count - first;
    transformed_.panels.push_back(
        {first * lanes, std::min(width * lanes, geometry_.out_channels - first * lanes), width, total});
    total += kPoints * static_cast<std::size_t>(depth * pairs * width * lanes * 2);
  }
  transformed_.values = AlignedBuffer<std::int16_t>(total);
  std::memset(transformed_.values.data(), 0, total * sizeof(std::int16_t));
  for (const WinogradWeights::Panel& panel : transformed_.panels) {
    const std::int64_t step = panel.vectors * lanes * 2;
    for (std::int64_t i = 0; i < depth * geometry_.in_channels; ++i) {
      const std::int64_t tap = i / geometry_.in_channels;
      const std::int64_t ic = i % geometry_.in_channels;
      for (std::int64_t column = 0; column < panel.columns; ++column) {
        const std::int64_t oc = panel.first + column;
        const std::int8_t* w = values_.data() + ((oc * geometry_.in_channels + ic) * depth + tap) *
                                                    static_cast<std::int64_t>(kTaps);
        std::array<std::int32_t, kTaps> centred;
        for (std::size_t t = 0; t < kTaps; ++t)
          centred[t] = w[t] - zero_points_[static_cast<std::size_t>(oc)];
        const auto points = transform_kernel(centred);
        std::int16_t* to =
            transformed_.values.data() + panel.offset + (tap * pairs + ic / 2) * step + column * 2 + ic % 2;
        for (const std::int16_t point : points) {
          *to = point;
          to += depth * pairs * step;
        }
      }
    }
  }
}

}  // namespace qconv::engines
