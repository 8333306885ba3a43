#pragma once

#include <cstddef>

namespace qconv {

/// While one is alive, the first tensor of exactly `bytes` bytes that this thread allocates lies at `memory`
/// instead of in memory of its own. The executor puts results into its memory plan this way without every
/// operator having a second form that writes into a given tensor. Whoever uses it must see whether the tensor
/// that it wanted there came to lie there: a temporary of the same size may have been first.
///
/// The tensor does not own the memory, which is used again as soon as the layer's result has been read. So an
/// operator must not keep a tensor that it allocates while it runs: what it caches belongs in an
/// AlignedBuffer, or is made when weights are packed.
class OutputPlacement {
 public:
  OutputPlacement(void* memory, std::size_t bytes) noexcept;
  ~OutputPlacement();
  OutputPlacement(const OutputPlacement&) = delete;
  OutputPlacement& operator=(const OutputPlacement&) = delete;

  /// The memory for a tensor of that many bytes, or null: allocate it.
  static void* take(std::size_t bytes) noexcept;
};

}  // namespace qconv
