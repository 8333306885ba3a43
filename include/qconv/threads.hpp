#pragma once

#include <cstddef>

#include <qconv/export.hpp>

namespace qconv {

/// Where parallel loops run. Derive from it to run qconv on threads of your own.
class QCONV_API ThreadPool {
 public:
  virtual ~ThreadPool() = default;
  /// How many threads run tasks, the caller's included; at least 1.
  virtual int num_threads() const noexcept = 0;
  /// Calls task(context, i) for every i in [0, count), in any order and on any thread, and returns when all
  /// are done. May be called from several threads at once.
  virtual void parallelize(std::size_t count, void (*task)(void* context, std::size_t index),
                           void* context) = 0;
};

/// Threads that operators use from now on in this process. The default is QCONV_NUM_THREADS, else the number
/// of cores that this process may run on. Throws ValueError below 1.
///
/// A forked child begins without threads and starts as many of its own at its first use; a pool of the
/// caller's stays behind in the parent.
QCONV_API void set_num_threads(int count);
QCONV_API int get_num_threads();

/// Runs all quantized operators on the caller's pool, which must outlive its use; null goes back to qconv's
/// own. Float functions follow its number of threads only: where the build has oneDNN they share OpenMP's
/// threads with it.
QCONV_API void set_thread_pool(ThreadPool* pool);

}  // namespace qconv
