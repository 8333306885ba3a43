#pragma once

#include <algorithm>
#include <cstdint>

#include "support/thread_pool.hpp"

namespace qconv {

/// Calls body(begin, end) for consecutive stretches of [0, count), none longer than `grain`.
template <class Body>
void parallel_chunks(ThreadPool& pool, std::int64_t count, std::int64_t grain, const Body& body) {
  if (count <= 0) return;
  parallel_for(pool, static_cast<std::size_t>((count - 1) / grain + 1), [&](std::size_t chunk) {
    const std::int64_t begin = static_cast<std::int64_t>(chunk) * grain;
    body(begin, std::min(begin + grain, count));
  });
}

}  // namespace qconv
