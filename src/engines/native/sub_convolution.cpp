#include "engines/native/sub_convolution.hpp"

namespace qconv::engines {
namespace {

std::vector<Phase> phases(const ConvGeometry& g, std::size_t d) {
  if (!g.transposed) {
    Phase all{0, 1, {}, g.stride[d], {}};
    for (std::int64_t k = 0; k < g.kernel[d]; ++k) {
      all.taps.push_back(k);
      all.offsets.push_back(k * g.dilation[d] - g.padding_begin[d]);
    }
    return {all};
  }
  // Tap k reaches output o from input (o + padding - k * dilation) / stride, when that is whole.
  std::vector<Phase> result;
  for (std::int64_t begin = 0; begin < g.stride[d]; ++begin) {
    Phase phase{begin, g.stride[d], {}, 1, {}};
    for (std::int64_t k = 0; k < g.kernel[d]; ++k) {
      const std::int64_t reach = begin + g.padding_begin[d] - k * g.dilation[d];
      if (reach % g.stride[d] != 0) continue;
      phase.taps.push_back(k);
      phase.offsets.push_back(reach / g.stride[d]);
    }
    result.push_back(std::move(phase));
  }
  return result;
}

}  // namespace

std::vector<SubConvolution> decompose(const ConvGeometry& geometry) {
  std::vector<SubConvolution> parts;
  for (const Phase& depth : phases(geometry, 0)) {
    for (const Phase& height : phases(geometry, 1)) {
      for (const Phase& width : phases(geometry, 2)) parts.push_back({depth, height, width});
    }
  }
  return parts;
}

}  // namespace qconv::engines
