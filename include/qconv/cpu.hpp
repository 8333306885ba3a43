#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>

namespace qconv {

/// Instruction sets that kernels are written for. `amx` is avx512vnni with tile registers, which multiply
/// matrices.
enum class Isa { scalar, avx2, avx512vnni, amx, neondot };

/// "scalar", "avx2", "avx512vnni", "amx", "neondot".
QCONV_API std::string_view to_string(Isa isa) noexcept;
QCONV_API std::optional<Isa> parse_isa(std::string_view name) noexcept;

/// The instruction sets this build has kernels for, best first; `scalar` is always among them.
QCONV_API std::vector<Isa> list_isas();
/// Whether this processor can run it.
QCONV_API bool supported(Isa isa) noexcept;
/// The one in use: QCONV_ISA, else the best supported. Throws ValueError when QCONV_ISA names none, or one
/// that this build or this processor lacks.
QCONV_API Isa active_isa();

}  // namespace qconv
