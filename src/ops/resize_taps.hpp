#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <qconv/resize.hpp>

#include "ops/args.hpp"

namespace qconv::ops {

/// The input elements behind each output index along one dimension: `taps` of them, ascending, with weights.
struct ResizeAxis {
  std::int64_t taps = 1;
  std::vector<std::int64_t> index;  ///< [output][tap], inside the input
  std::vector<float> weight;        ///< [output][tap]; all 1 for one tap
  std::int64_t out = 1;
};

/// Checks `resize` against an input, in the name of `who`, and works out the taps of every spatial dimension.
std::array<ResizeAxis, 3> resize_axes(std::string_view who, const Volume& input, const Resize& resize);

}  // namespace qconv::ops
