#include "support/amx_permission.hpp"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qconv {

namespace {

bool ask_for_amx() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kFeatures = 7;
  constexpr unsigned kTilesOfBytes = 3U << 24U;  // AMX-TILE and AMX-INT8
  if (__get_cpuid_count(kFeatures, 0, &a, &b, &c, &d) == 0 || (d & kTilesOfBytes) != kTilesOfBytes)
    return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool may_use_amx() noexcept {
  static const bool may = ask_for_amx();
  return may;
}

}  // namespace qconv
