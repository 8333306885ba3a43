#include "support/aligned_buffer.hpp"

#include <new>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace qconv {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

#ifdef MADV_HUGEPAGE
// A wish: what comes of it does not matter.
void ask_for_huge_pages(void* p, std::size_t bytes) { static_cast<void>(madvise(p, bytes, MADV_HUGEPAGE)); }
#else
void ask_for_huge_pages(void*, std::size_t) {}
#endif

}  // namespace

std::unique_ptr<void, FreeDeleter> allocate_aligned(std::size_t bytes) {
  const bool huge = bytes >= kHugePage;
  const std::size_t alignment = huge ? kHugePage : kAlignment;
  const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
  void* p = nullptr;
  if (rounded < bytes || posix_memalign(&p, alignment, rounded) != 0) throw std::bad_alloc();
  if (huge) ask_for_huge_pages(p, bytes / kHugePage * kHugePage);
  return std::unique_ptr<void, FreeDeleter>(p);
}

}  // namespace qconv
