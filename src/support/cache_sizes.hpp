#pragma once

#include <cstdint>

namespace qconv {

/// The data caches that one thread of this processor reaches, in bytes; likely values where nothing is known.
struct CacheSizes {
  std::int64_t second = 512 * 1024;
  std::int64_t last = 4 * 1024 * 1024;  ///< shared with others
};

/// Asked of the processor once.
const CacheSizes& cache_sizes();

}  // namespace qconv
