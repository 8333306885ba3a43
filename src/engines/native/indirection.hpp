#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "engines/native/sub_convolution.hpp"

namespace qconv::engines {

/// Where each output of a sub-convolution reads its taps. The three dimensions are independent, so one small
/// table per dimension holds it, whatever the padding mode: `source(d, i, t)` is the byte offset that tap t
/// contributes to output i, or -1 when the tap reads zero padding.
class Indirection {
 public:
  Indirection(const ConvProblem& problem, const SubConvolution& part);

  /// Outputs of this part along dimension `d`, and in one image.
  std::int64_t count(std::size_t d) const noexcept { return counts_[d]; }
  std::int64_t rows() const noexcept { return counts_[0] * counts_[1] * counts_[2]; }
  std::int64_t taps() const noexcept { return taps_[0] * taps_[1] * taps_[2]; }

  /// Fills, for the output rows [first, first + count), the pointer table of the kernels ([tap][tile_rows]
  /// for each tile of `tile_rows` rows) and the offsets of their output pixels within the image.
  void fill(std::int64_t first, std::int64_t count, std::int64_t tile_rows, const std::uint8_t* image,
            const std::uint8_t* zeros, const std::uint8_t** pixels, std::int64_t* output_offsets) const;

 private:
  void fill_row(const std::array<std::int64_t, 3>& at, std::int64_t tile_rows, const std::uint8_t* image,
                const std::uint8_t* zeros, const std::uint8_t** pixels) const;

  std::array<std::int64_t, 3> counts_{};
  std::array<std::int64_t, 3> taps_{};
  std::array<std::vector<std::int64_t>, 3> sources_;  // [output][tap]
  std::array<std::vector<std::int64_t>, 3> outputs_;  // offset of output i
};

}  // namespace qconv::engines
