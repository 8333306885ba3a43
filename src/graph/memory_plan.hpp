#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace qconv::graph {

/// A tensor between layers: made at step `first`, read last at step `last` (both included).
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
};

/// Where in one block of memory each tensor lies. Tensors that are alive at the same step never overlap.
struct MemoryPlan {
  std::vector<std::size_t> offsets;
  std::size_t peak_bytes = 0;
  std::size_t total_bytes = 0;  ///< without reuse
};

/// Places the largest tensors first, each at the lowest offset where it overlaps none of the tensors alive
/// with it. Offsets are multiples of a cache line. Throws ValueError when the sizes add up to more than an
/// address can hold.
MemoryPlan plan_memory(std::span<const Lifetime> tensors);

}  // namespace qconv::graph
