#pragma once

#include <optional>
#include <span>

#include "graph/infer.hpp"

namespace qconv::graph {

/// Which elements a Slice takes: per dimension the first, the distance to the next, and how many.
struct Slicing {
  Shape first;
  Shape step;
  Shape sizes;
};

/// Of a Slice with these inputs: x, starts, ends, axes or none, steps or none. Nothing while the starts,
/// ends, axes or steps are not known; unknown sizes of x give kDynamic in `sizes`. Throws ValueError when
/// they do not fit.
std::optional<Slicing> slicing_of(std::span<const Fact> inputs);

/// int64 elements, or int32 converted. Throws ValueError, naming `who`, for other dtypes.
std::vector<std::int64_t> integers(const Tensor& t, std::string_view who);

}  // namespace qconv::graph
