#pragma once

#include <memory>

#include <qconv/dtype.hpp>

#include "support/thread_pool.hpp"

namespace qconv::engines {

/// Where float functions run: on the threads that float convolutions use, because two sets of threads that
/// wait busily for their next task would take the processor from each other. Those are OpenMP's in a build
/// with oneDNN, as many as current_pool() has; else current_pool() itself.
std::shared_ptr<ThreadPool> float_pool();

/// float_pool() for floating-point tensors, current_pool() for all others.
inline std::shared_ptr<ThreadPool> pool_for(DType dtype) {
  return info(dtype).floating ? float_pool() : current_pool();
}

}  // namespace qconv::engines
