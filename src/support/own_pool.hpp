#pragma once

#include <memory>

#include <qconv/threads.hpp>

namespace qconv {

/// A pool of qconv's own: `threads` of them, the caller's included. Throws Error when they cannot be started.
std::unique_ptr<ThreadPool> make_own_pool(int threads);

/// Whether current_pool() of this thread is such a pool, not the caller's.
bool runs_on_own_pool();

}  // namespace qconv
