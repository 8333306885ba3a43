#include <pthreadpool.h>

#include "support/check.hpp"
#include "support/own_pool.hpp"

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

}  // namespace

std::unique_ptr<ThreadPool> make_own_pool(int threads) { return std::make_unique<PthreadPool>(threads); }

}  // namespace qconv
