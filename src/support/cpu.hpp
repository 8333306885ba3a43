#pragma once

#include <qconv/cpu.hpp>

namespace qconv {

/// The instruction set whose vectors run what `isa` has no kernels of its own for: itself, but that amx has
/// tiles alone.
Isa vector_isa(Isa isa) noexcept;

/// Whether the processor permutes bytes across 64-byte registers (AVX-512 VBMI), which not all of the
/// avx512vnni tier do.
bool permutes_bytes() noexcept;

}  // namespace qconv
