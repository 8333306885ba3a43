// Parallel loops on the OpenMP threads that oneDNN uses.
#include <atomic>

#include "engines/floating/float_pool.hpp"
#include "engines/floating/openmp.hpp"

namespace qconv::engines {
namespace {

// One loop: threads take the next index until none is left.
struct Loop {
  std::size_t count;
  void (*task)(void* context, std::size_t index);
  void* context;
  std::atomic<std::size_t> next = 0;

  static void run(void* self) {
    auto& loop = *static_cast<Loop*>(self);
    for (std::size_t i = loop.next++; i < loop.count; i = loop.next++) loop.task(loop.context, i);
  }
};

class OpenMpPool final : public ThreadPool {
 public:
  explicit OpenMpPool(int threads) : threads_(threads) {}
  int num_threads() const noexcept override { return threads_; }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    Loop loop{count, task, context};
    // Always on all threads: OpenMP ends and starts threads when their number changes.
    GOMP_parallel(&Loop::run, &loop, static_cast<unsigned>(threads_), 0);
  }

 private:
  int threads_;
};

}  // namespace

std::shared_ptr<ThreadPool> float_pool() { return std::make_shared<OpenMpPool>(get_num_threads()); }

}  // namespace qconv::engines
