#pragma once

#include <cstddef>

#include <qconv/export.hpp>

namespace qconv {

/// Where a network takes the memory of the tensors between its layers from. Derive from it to use memory of
/// your own: an arena, huge pages, memory near a core. Called from the threads that run the network.
class QCONV_API Allocator {
 public:
  virtual ~Allocator() = default;
  /// `bytes` bytes, aligned to `alignment`, a power of two. Throws std::bad_alloc when there are none.
  virtual void* allocate(std::size_t bytes, std::size_t alignment) = 0;
  /// Gives back what allocate() returned for as many bytes.
  virtual void deallocate(void* memory, std::size_t bytes) noexcept = 0;
};

}  // namespace qconv
