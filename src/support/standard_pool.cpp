#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "support/own_pool.hpp"

namespace qconv {
namespace {

// Threads of the standard library, for builds without pthreadpool: those under ThreadSanitizer, which cannot
// see into libraries that it did not compile. One parallel loop at a time; its tasks are taken one by one.
class StandardPool final : public ThreadPool {
 public:
  explicit StandardPool(int threads) : threads_(threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this](std::stop_token stop) { work(stop); });
  }
  int num_threads() const noexcept override { return threads_; }

  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    const std::scoped_lock one_loop(loops_);
    Loop loop{count, task, context, {}, {}};
    {
      const std::scoped_lock lock(mutex_);
      loop_ = &loop;
      ++generation_;
    }
    changed_.notify_all();
    loop.run();
    std::unique_lock lock(mutex_);
    loop_ = nullptr;
    changed_.wait(lock, [&] { return loop.workers == 0; });
  }

 private:
  struct Loop {
    std::size_t count;
    void (*task)(void*, std::size_t);
    void* context;
    std::atomic<std::size_t> next;
    int workers;  // at it now; guarded by mutex_

    void run() {
      for (std::size_t i = next++; i < count; i = next++) task(context, i);
    }
  };

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    std::size_t done = 0;
    while (changed_.wait(lock, stop, [&] { return loop_ != nullptr && generation_ != done; })) {
      Loop& loop = *loop_;
      done = generation_;
      ++loop.workers;
      lock.unlock();
      loop.run();
      lock.lock();
      --loop.workers;
      changed_.notify_all();
    }
  }

  const int threads_;
  std::mutex loops_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Loop* loop_ = nullptr;  // null between loops
  std::size_t generation_ = 0;
  std::vector<std::jthread> workers_;  // last: they are joined before what they use is gone
};

}  // namespace

std::unique_ptr<ThreadPool> make_own_pool(int threads) { return std::make_unique<StandardPool>(threads); }

}  // namespace qconv
