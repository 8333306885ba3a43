#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <qconv/conv_problem.hpp>

namespace qconv::engines {

/// Along one dimension, the outputs o = begin, begin + step, ... that all read the same taps of the kernel.
struct Phase {
  std::int64_t begin;
  std::int64_t step;
  std::vector<std::int64_t> taps;  ///< may be empty: then the output is the bias alone
  /// Output begin + i * step reads, with its tap t, input position i * stride + offsets[t]: one that may lie
  /// in the padding.
  std::int64_t stride;
  std::vector<std::int64_t> offsets;

  /// How many of those outputs are below `size`.
  std::int64_t count(std::int64_t size) const noexcept {
    return size > begin ? (size - begin + step - 1) / step : 0;
  }

  /// The first and the last position that output `begin` reads, 0 when it reads none.
  std::int64_t least_offset() const noexcept {
    return offsets.empty() ? 0 : std::min(offsets.front(), offsets.back());
  }
  std::int64_t most_offset() const noexcept {
    return offsets.empty() ? 0 : std::max(offsets.front(), offsets.back());
  }
};

/// A part of a convolution whose outputs all read the same taps. A convolution is one such part; a transposed
/// one is a part for each combination of output remainders modulo the stride, in which no tap ever falls
/// between inputs.
using SubConvolution = std::array<Phase, 3>;

inline std::int64_t taps(const SubConvolution& s) noexcept {
  return static_cast<std::int64_t>(s[0].taps.size() * s[1].taps.size() * s[2].taps.size());
}

/// The parts of a convolution, which together make every output once. Depends on the geometry alone.
std::vector<SubConvolution> decompose(const ConvGeometry& geometry);

}  // namespace qconv::engines
