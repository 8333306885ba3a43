#pragma once

namespace qconv {

/// Whether the processor permutes bytes across 64-byte registers (AVX-512 VBMI), which not all of the
/// avx512vnni tier do.
bool permutes_bytes() noexcept;

}  // namespace qconv
