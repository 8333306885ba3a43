#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

namespace qconv {

/// Alignment of every buffer that kernels read: one cache line, one AVX-512 vector.
inline constexpr std::size_t kAlignment = 64;

struct FreeDeleter {
  void operator()(void* p) const noexcept { std::free(p); }
};

/// `bytes` bytes aligned to kAlignment; throws std::bad_alloc. Large blocks ask for huge pages, where the
/// system has them: a page fault for each 4 KiB costs more than filling them.
std::unique_ptr<void, FreeDeleter> allocate_aligned(std::size_t bytes);

/// A fixed-size array of trivial elements, aligned for vector loads and not initialized.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) : memory_(allocate_aligned(count * sizeof(T))), count_(count) {}

  T* data() noexcept { return static_cast<T*>(memory_.get()); }
  const T* data() const noexcept { return static_cast<const T*>(memory_.get()); }
  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  std::span<T> span() noexcept { return {data(), count_}; }
  std::span<const T> span() const noexcept { return {data(), count_}; }

 private:
  std::unique_ptr<void, FreeDeleter> memory_;
  std::size_t count_ = 0;
};

}  // namespace qconv
