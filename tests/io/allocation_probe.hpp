#pragma once

#include <cstddef>
#include <functional>

namespace qconv::testing_io {

/// The largest single block that `body` asked operator new or aligned_alloc (every Tensor) for, in bytes. The
/// test program that links allocation_probe.cpp has its own versions of both.
std::size_t largest_allocation(const std::function<void()>& body);

}  // namespace qconv::testing_io
