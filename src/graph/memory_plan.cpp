#include "graph/memory_plan.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/aligned_buffer.hpp"
#include "support/check.hpp"

namespace qconv::graph {

MemoryPlan plan_memory(std::span<const Lifetime> tensors) {
  MemoryPlan plan;
  plan.offsets.resize(tensors.size());
  std::vector<std::size_t> sizes(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    check(tensors[i].bytes < std::numeric_limits<std::size_t>::max() / 2 - plan.total_bytes,
          "the tensors between layers need more memory than there are addresses");
    sizes[i] = (tensors[i].bytes + kAlignment - 1) / kAlignment * kAlignment;
    plan.total_bytes += sizes[i];
  }
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });

  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t i : order) {
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      const bool together =
          tensors[i].first <= tensors[other].last && tensors[other].first <= tensors[i].last;
      if (!together) continue;
      if (offset + sizes[i] <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + sizes[other]);
    }
    plan.offsets[i] = offset;
    plan.peak_bytes = std::max(plan.peak_bytes, offset + sizes[i]);
    const auto after =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [&](std::size_t value, std::size_t p) { return value < plan.offsets[p]; });
    placed.insert(after, i);
  }
  return plan;
}

}  // namespace qconv::graph
