#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <qconv/pooling.hpp>

#include "ops/args.hpp"

namespace qconv::ops {

/// The taps of one output index along one dimension: input indices first, first + step, ...
struct Window {
  std::int64_t first;
  std::int64_t count;    ///< taps inside the input; may be 0
  std::int64_t divisor;  ///< taps that an average counts
};

/// The windows along the three spatial dimensions.
struct Windows {
  std::array<std::vector<Window>, 3> axes;
  Spatial step{1, 1, 1};

  Spatial output() const noexcept {
    return {static_cast<std::int64_t>(axes[0].size()), static_cast<std::int64_t>(axes[1].size()),
            static_cast<std::int64_t>(axes[2].size())};
  }
};

/// Checks `pooling` against an input, in the name of `who`.
Windows pooling_windows(std::string_view who, const Volume& input, const Pooling& pooling);
/// [floor(o * in / out), ceil((o + 1) * in / out)).
Windows adaptive_windows(std::string_view who, const Volume& input, const IntList& output_size);

}  // namespace qconv::ops
