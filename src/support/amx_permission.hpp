#pragma once

namespace qconv {

/// Whether this process may use AMX's tile registers for bytes. Linux saves them at a switch of threads only
/// for processes that asked: this asks, once.
bool may_use_amx() noexcept;

}  // namespace qconv
