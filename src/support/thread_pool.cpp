#include "support/thread_pool.hpp"

#include <mutex>
#include <thread>

#include <sched.h>

#include "support/check.hpp"
#include "support/environment.hpp"
#include "support/own_pool.hpp"

namespace qconv {
namespace {

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int default_threads() { return environment_number("QCONV_NUM_THREADS", 1, 1024).value_or(available_cores()); }

std::mutex g_mutex;
std::shared_ptr<ThreadPool> g_pool;  // null until the first use

}  // namespace

std::shared_ptr<ThreadPool> current_pool() {
  const std::scoped_lock lock(g_mutex);
  if (!g_pool) g_pool = make_own_pool(default_threads());
  return g_pool;
}

void set_num_threads(int count) {
  check(count >= 1 && count <= 1024, "set_num_threads: expected 1 to 1024 threads, got {}", count);
  std::shared_ptr<ThreadPool> pool = make_own_pool(count);
  const std::scoped_lock lock(g_mutex);
  g_pool = std::move(pool);
}

int get_num_threads() { return current_pool()->num_threads(); }

void set_thread_pool(ThreadPool* pool) {
  const std::scoped_lock lock(g_mutex);
  g_pool = pool == nullptr ? nullptr : std::shared_ptr<ThreadPool>(std::shared_ptr<void>(), pool);
}

}  // namespace qconv
