#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <qconv/threads.hpp>

namespace qconv {

/// The pool of this process: the caller's, or qconv's own. The pointer keeps the pool alive
/// while it is used, even if another thread sets a new one.
std::shared_ptr<ThreadPool> current_pool();

/// While one is alive, current_pool() of this thread is `pool`, unless that is null.
class PoolScope {
 public:
  explicit PoolScope(ThreadPool* pool);
  ~PoolScope();
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  ThreadPool* before_;
};

/// Calls body(i) for every i in [0, count).
template <class Body>
void parallel_for(ThreadPool& pool, std::size_t count, const Body& body) {
  if (count <= 1 || pool.num_threads() == 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  pool.parallelize(
      count, [](void* context, std::size_t i) { (*static_cast<const Body*>(context))(i); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

/// Elements read, computed and written one by one in about 20 microseconds, in which other threads have just
/// woken up.
inline constexpr std::int64_t kSmallWork = 400'000;

/// The same, but on the calling thread alone when `work`, the number of such elements behind all of it, is
/// too small to wake others.
template <class Body>
void parallel_for(ThreadPool& pool, std::size_t count, std::int64_t work, const Body& body) {
  if (work >= kSmallWork) return parallel_for(pool, count, body);
  for (std::size_t i = 0; i < count; ++i) body(i);
}

}  // namespace qconv
