#include "engines/native/sub_convolution.hpp"

namespace qconv::engines {
namespace {

std::vector<Phase> phases(const ConvGeometry& g, std::size_t d) {
  std::vector<Phase> result;
  if (!g.transposed) {
    Phase all{0, 1, {}};
    for (std::int64_t k = 0; k < g.kernel[d]; ++k) all.taps.push_back(k);
    result.push_back(std::move(all));
    return result;
  }
  // Tap k reaches output o from input (o + padding - k * dilation) / stride, when that is whole.
  for (std::int64_t begin = 0; begin < g.stride[d]; ++begin) {
    Phase phase{begin, g.stride[d], {}};
    for (std::int64_t k = 0; k < g.kernel[d]; ++k) {
      if ((begin + g.padding_begin[d] - k * g.dilation[d]) % g.stride[d] == 0) phase.taps.push_back(k);
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
