#include "support/cache_sizes.hpp"

#include <cpuinfo.h>

namespace qconv {
namespace {

std::int64_t size_of(const cpuinfo_cache* cache, std::int64_t otherwise) {
  return cache != nullptr && cache->size > 0 ? static_cast<std::int64_t>(cache->size) : otherwise;
}

CacheSizes ask() {
  CacheSizes sizes;
  if (!cpuinfo_initialize()) return sizes;
  sizes.second = size_of(cpuinfo_get_l2_cache(0), sizes.second);
  sizes.last = size_of(cpuinfo_get_l3_cache(0), sizes.second);
  return sizes;
}

}  // namespace

const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = ask();
  return sizes;
}

}  // namespace qconv
