#pragma once

#include <memory>

#include <qconv/threads.hpp>

namespace qconv {

/// A pool of qconv's own: `threads` of them, the caller's included. Throws Error when they cannot be started.
std::unique_ptr<ThreadPool> make_own_pool(int threads);

}  // namespace qconv
