#include "engines/native/pack_winograd.hpp"

#include <algorithm>
#include <array>

namespace qconv::engines {
namespace {

using winograd::kPatch;
using winograd::kPoints;

constexpr std::int64_t kTaps = 9;
constexpr std::int64_t kWeightGroup = 16;

// Numbers that go through the transform together. At most 49 * 255 in magnitude: no row of the matrix has
// coefficients of more than 7 altogether.
using WeightGroup = std::array<std::int16_t, kWeightGroup>;
using GroupTaps = std::array<WeightGroup, kTaps>;
using GroupPoints = std::array<WeightGroup, kPatch>;

// 24 G, divided by what the output transform multiplies with (to_outputs, kernels/winograd/body.hpp).
GroupPoints to_points(const WeightGroup& w0, const WeightGroup& w1, const WeightGroup& w2) {
  GroupPoints points;
  for (std::size_t i = 0; i < w0.size(); ++i) {
    const int outer = w0[i] + w2[i];
    const int wide = w0[i] + 4 * w2[i];
    points[0][i] = static_cast<std::int16_t>(6 * w0[i]);
    points[1][i] = static_cast<std::int16_t>(-2 * (outer + w1[i]));
    points[2][i] = static_cast<std::int16_t>(-2 * (outer - w1[i]));
    points[3][i] = static_cast<std::int16_t>(wide + 2 * w1[i]);
    points[4][i] = static_cast<std::int16_t>(wide - 2 * w1[i]);
    points[5][i] = static_cast<std::int16_t>(6 * w2[i]);
  }
  return points;
}

// Writes `count` numbers of every point, `distance` from one point to the next.
void transform_kernels(const GroupTaps& w, std::int64_t count, std::int16_t* to, std::int64_t distance) {
  std::array<GroupPoints, 3> rows;
  for (std::size_t x = 0; x < 3; ++x) rows[x] = to_points(w[x], w[3 + x], w[6 + x]);
  for (std::size_t y = 0; y < kPatch; ++y) {
    for (const WeightGroup& point : to_points(rows[0][y], rows[1][y], rows[2][y])) {
      std::copy_n(point.begin(), count, to);
      to += distance;
    }
  }
}

}  // namespace

std::string winograd_declines(const ConvGeometry& g, const WeightView& weights) {
  if (g.transposed || g.groups != 1) return "must be one group, not transposed";
  if (g.kernel[1] != 3 || g.kernel[2] != 3) return "the kernel must be 3 x 3 in height and width";
  if (g.stride[1] != 1 || g.stride[2] != 1) return "the stride must be 1 in height and width";
  // The sums of a channel lie in an interval of this width, of which the arithmetic keeps 26 bits.
  for (const WeightSums& sums : weights.sums) {
    if (255 * sums.magnitude() >= std::int64_t{1} << (32 - winograd::kSpareBits))
      return "the weights must sum up to less";
  }
  return {};
}

PackedWinograd::PackedWinograd(const ConvGeometry& geometry, const WeightView& weights,
                               const winograd::Kernel& kernel, std::shared_ptr<const PackedWeights> general)
    : geometry_(geometry),
      kernel_(kernel),
      general_(std::move(general)),
      values_(weights.values),
      owner_(weights.owner),
      from_memory_(weights.from_memory),
      zero_points_(weights.zero_points.begin(), weights.zero_points.end()),
      sums_(weights.sums.begin(), weights.sums.end()) {}

std::int64_t PackedWinograd::least_sum(std::int64_t oc, std::int64_t za) const noexcept {
  const WeightSums& sums = sums_[static_cast<std::size_t>(oc)];
  return -sums.positive * za - sums.negative * (255 - za);
}

std::int64_t PackedWinograd::greatest_sum(std::int64_t oc, std::int64_t za) const noexcept {
  const WeightSums& sums = sums_[static_cast<std::size_t>(oc)];
  return sums.positive * (255 - za) + sums.negative * za;
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
  for (const WinogradWeights::Panel& panel : transformed_.panels) {
    const std::int64_t step = panel.vectors * lanes * 2;
    for (std::int64_t tap = 0; tap < depth; ++tap) {
      for (std::int64_t pair = 0; pair < pairs; ++pair) {
        std::int16_t* to = transformed_.values.data() + panel.offset + (tap * pairs + pair) * step;
        for (std::int64_t first = 0; first < step; first += kWeightGroup) {
          // The two channels of a pair lie side by side in every column. Zero past the last of either.
          GroupTaps taps{};
          for (std::int64_t i = 0; i < kWeightGroup; ++i) {
            const std::int64_t column = (first + i) / 2;
            const std::int64_t ic = 2 * pair + i % 2;
            if (column >= panel.columns || ic >= geometry_.in_channels) continue;
            const std::int64_t oc = panel.first + column;
            const std::int8_t* w = values_ + ((oc * geometry_.in_channels + ic) * depth + tap) * kTaps;
            const std::int32_t zero_point = zero_points_[static_cast<std::size_t>(oc)];
            for (std::size_t t = 0; t < taps.size(); ++t)
              taps[t][static_cast<std::size_t>(i)] = static_cast<std::int16_t>(w[t] - zero_point);
          }
          transform_kernels(taps, std::min(kWeightGroup, step - first), to + first, depth * pairs * step);
        }
      }
    }
  }
}

}  // namespace qconv::engines
