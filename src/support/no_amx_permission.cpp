#include "support/amx_permission.hpp"

namespace qconv {

bool may_use_amx() noexcept { return false; }

}  // namespace qconv
