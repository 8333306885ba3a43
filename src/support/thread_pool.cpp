#include "support/thread_pool.hpp"

#include <atomic>
#include <mutex>
#include <thread>

#include <pthreadpool.h>
#include <sched.h>

#include "support/check.hpp"
#include "support/environment.hpp"

namespace qconv {
namespace {

class PthreadPool final : public ThreadPool {
 public:
  explicit PthreadPool(int threads)
      : pool_(pthreadpool_create(static_cast<std::size_t>(threads)), &pthreadpool_destroy) {
    check(pool_ != nullptr, "cannot start {} threads", threads);
  }
  int num_threads() const noexcept override {
    return static_cast<int>(pthreadpool_get_threads_count(pool_.get()));
  }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    pthreadpool_parallelize_1d(pool_.get(), task, context, count, 0);
  }

 private:
  std::unique_ptr<pthreadpool, decltype(&pthreadpool_destroy)> pool_;
};

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
  if (!g_pool) g_pool = std::make_shared<PthreadPool>(default_threads());
  return g_pool;
}

void set_num_threads(int count) {
  check(count >= 1 && count <= 1024, "set_num_threads: expected 1 to 1024 threads, got {}", count);
  auto pool = std::make_shared<PthreadPool>(count);
  const std::scoped_lock lock(g_mutex);
  g_pool = std::move(pool);
}

int get_num_threads() { return current_pool()->num_threads(); }

void set_thread_pool(ThreadPool* pool) {
  const std::scoped_lock lock(g_mutex);
  g_pool = pool == nullptr ? nullptr : std::shared_ptr<ThreadPool>(std::shared_ptr<void>(), pool);
}

}  // namespace qconv
