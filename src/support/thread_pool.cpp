#include "support/thread_pool.hpp"

#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
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
int g_threads = 0;                   // what was asked for; 0: the default

// Threads do not live on in a forked child, which would wait for them for ever. It begins without a pool; the
// parent's is left where it is, since to take it down would be to wait for its threads.
void lock_pool() { g_mutex.lock(); }
void unlock_pool() { g_mutex.unlock(); }
void forget_pool() {
  static auto& abandoned = *new std::vector<std::shared_ptr<ThreadPool>>;
  abandoned.push_back(std::move(g_pool));
  g_mutex.unlock();
}
void watch_forks() {
  [[maybe_unused]] static const int once = pthread_atfork(lock_pool, unlock_pool, forget_pool);
}

}  // namespace

namespace {
thread_local ThreadPool* t_pool = nullptr;  // this thread's, for as long as a PoolScope lives

std::shared_ptr<ThreadPool> unowned(ThreadPool* pool) { return {std::shared_ptr<void>(), pool}; }
}  // namespace

PoolScope::PoolScope(ThreadPool* pool) : before_(t_pool) {
  if (pool != nullptr) t_pool = pool;
}
PoolScope::~PoolScope() { t_pool = before_; }

std::shared_ptr<ThreadPool> current_pool() {
  if (t_pool != nullptr) return unowned(t_pool);
  const std::scoped_lock lock(g_mutex);
  watch_forks();
  if (!g_pool) g_pool = make_own_pool(g_threads > 0 ? g_threads : default_threads());
  return g_pool;
}

void set_num_threads(int count) {
  check(count >= 1 && count <= 1024, "set_num_threads: expected 1 to 1024 threads, got {}", count);
  std::shared_ptr<ThreadPool> pool = make_own_pool(count);
  const std::scoped_lock lock(g_mutex);
  g_pool = std::move(pool);
  g_threads = count;
}

bool runs_on_own_pool() {
  const std::scoped_lock lock(g_mutex);
  return t_pool == nullptr && (g_pool == nullptr || g_pool.use_count() > 0);  // the caller's is unowned
}

int get_num_threads() { return current_pool()->num_threads(); }

void set_thread_pool(ThreadPool* pool) {
  const std::scoped_lock lock(g_mutex);
  g_pool = pool == nullptr ? nullptr : unowned(pool);
}

}  // namespace qconv
