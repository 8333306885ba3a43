#include "tensor/strided_copy.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>

namespace qconv {
namespace {

struct Loop {
  std::int64_t size, target, source;  // strides in elements
};

// The two innermost loops, blocked: a transposing copy then touches each cache line of either side once per
// block.
template <class T>
void copy_plane(T* target, const T* source, const Loop& outer, const Loop& inner) {
  if (inner.target == 1 && inner.source == 1) {
    for (std::int64_t i = 0; i < outer.size; ++i) {
      std::memcpy(target + i * outer.target, source + i * outer.source,
                  sizeof(T) * static_cast<std::size_t>(inner.size));
    }
    return;
  }
  constexpr std::int64_t kBlock = 32;
  for (std::int64_t i0 = 0; i0 < outer.size; i0 += kBlock) {
    const std::int64_t i1 = std::min(i0 + kBlock, outer.size);
    for (std::int64_t j0 = 0; j0 < inner.size; j0 += kBlock) {
      const std::int64_t j1 = std::min(j0 + kBlock, inner.size);
      for (std::int64_t i = i0; i < i1; ++i) {
        T* to = target + i * outer.target;
        const T* from = source + i * outer.source;
        for (std::int64_t j = j0; j < j1; ++j) to[j * inner.target] = from[j * inner.source];
      }
    }
  }
}

template <class T>
void copy_loops(T* target, const T* source, const Loop* loops, int count) {
  if (count == 2) return copy_plane(target, source, loops[0], loops[1]);
  for (std::int64_t i = 0; i < loops[0].size; ++i) {
    copy_loops(target + i * loops[0].target, source + i * loops[0].source, loops + 1, count - 1);
  }
}

}  // namespace

void strided_copy(void* target, const Shape& target_strides, const void* source, const Shape& source_strides,
                  const Shape& sizes, std::size_t element_size) {
  // Loops ordered by the target's strides, adjacent ones merged where both sides run on, so that a plain copy
  // is one memcpy.
  std::array<int, kMaxRank> order{};
  std::iota(order.begin(), order.begin() + sizes.rank(), 0);
  std::stable_sort(order.begin(), order.begin() + sizes.rank(),
                   [&](int a, int b) { return target_strides[a] > target_strides[b]; });
  std::array<Loop, kMaxRank + 2> loops{};
  int count = 2;  // two unit loops in front, so that there always is a plane
  loops[0] = loops[1] = {1, 0, 0};
  for (int i = 0; i < sizes.rank(); ++i) {
    const int dim = order[static_cast<std::size_t>(i)];
    if (sizes[dim] == 0) return;
    if (sizes[dim] == 1) continue;
    const Loop loop{sizes[dim], target_strides[dim], source_strides[dim]};
    Loop& previous = loops[static_cast<std::size_t>(count - 1)];
    if (count > 2 && previous.target == loop.size * loop.target &&
        previous.source == loop.size * loop.source) {
      previous = {previous.size * loop.size, loop.target, loop.source};
    } else {
      loops[static_cast<std::size_t>(count++)] = loop;
    }
  }
  if (count == 2) loops[1] = {1, 1, 1};
  // The source's fastest dimension belongs into the inner plane, or a transposing copy walks whole rows per
  // element.
  if (count > 4) {
    int fastest = 2;
    for (int i = 3; i < count - 1; ++i) {
      if (loops[static_cast<std::size_t>(i)].source < loops[static_cast<std::size_t>(fastest)].source)
        fastest = i;
    }
    std::swap(loops[static_cast<std::size_t>(fastest)], loops[static_cast<std::size_t>(count - 2)]);
  }
  switch (element_size) {
    case 1:
      return copy_loops(static_cast<std::uint8_t*>(target), static_cast<const std::uint8_t*>(source),
                        loops.data(), count);
    case 4:
      return copy_loops(static_cast<std::uint32_t*>(target), static_cast<const std::uint32_t*>(source),
                        loops.data(), count);
    default:
      return copy_loops(static_cast<std::uint64_t*>(target), static_cast<const std::uint64_t*>(source),
                        loops.data(), count);
  }
}

}  // namespace qconv
