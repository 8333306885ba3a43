#include "support/cpu.hpp"

#include <array>

#include <cpuinfo.h>
#include <fmt/ranges.h>

#include <qconv/cpu.hpp>

#include "support/amx_permission.hpp"
#include "support/check.hpp"
#include "support/environment.hpp"

namespace qconv {
namespace {

struct IsaInfo {
  Isa isa;
  std::string_view name;
  bool built;
  bool (*supported)();
};

// Whether the build has kernels for it: QCONV_BUILT_ISAS comes from the table in cmake/QconvIsa.cmake, with a
// space before and after each name.
constexpr bool is_built(std::string_view name) {
  const std::string_view all = QCONV_BUILT_ISAS;
  const std::size_t at = all.find(name);
  return at != std::string_view::npos && all[at - 1] == ' ' && all[at + name.size()] == ' ';
}

bool has_avx512vnni() {
  return cpuinfo_has_x86_avx512f() && cpuinfo_has_x86_avx512bw() && cpuinfo_has_x86_avx512dq() &&
         cpuinfo_has_x86_avx512vl() && cpuinfo_has_x86_avx512vnni();
}

// Best last, as the enumeration has them.
constexpr std::array<IsaInfo, 5> kTable{{
    {Isa::scalar, "scalar", true, [] { return true; }},
    {Isa::avx2, "avx2", is_built("avx2"), [] { return cpuinfo_has_x86_avx2() && cpuinfo_has_x86_fma3(); }},
    {Isa::avx512vnni, "avx512vnni", is_built("avx512vnni"), has_avx512vnni},
    {Isa::amx, "amx", is_built("amx"), [] { return has_avx512vnni() && may_use_amx(); }},
    {Isa::neondot, "neondot", is_built("neondot"), [] { return cpuinfo_has_arm_neon_dot(); }},
}};

Isa find_active() {
  const auto wanted = environment_text("QCONV_ISA");
  if (!wanted) {
    for (const Isa isa : list_isas()) {
      if (supported(isa)) return isa;
    }
    return Isa::scalar;
  }
  const auto isa = parse_isa(*wanted);
  std::vector<std::string_view> names;
  for (const Isa built : list_isas()) names.push_back(to_string(built));
  check(isa.has_value() && kTable[static_cast<std::size_t>(*isa)].built,
        "QCONV_ISA='{}' is not an instruction set of this build; there are {}", *wanted,
        fmt::join(names, ", "));
  check(supported(*isa), "QCONV_ISA='{}' is not supported by this processor", *wanted);
  return *isa;
}

}  // namespace

std::string_view to_string(Isa isa) noexcept { return kTable[static_cast<std::size_t>(isa)].name; }

std::optional<Isa> parse_isa(std::string_view name) noexcept {
  for (const IsaInfo& row : kTable) {
    if (row.name == name) return row.isa;
  }
  return std::nullopt;
}

std::vector<Isa> list_isas() {
  std::vector<Isa> isas;
  for (auto row = kTable.rbegin(); row != kTable.rend(); ++row) {
    if (row->built) isas.push_back(row->isa);
  }
  return isas;
}

bool supported(Isa isa) noexcept {
  static const bool initialized = cpuinfo_initialize();
  const IsaInfo& row = kTable[static_cast<std::size_t>(isa)];
  return row.built && (isa == Isa::scalar || (initialized && row.supported()));
}

Isa vector_isa(Isa isa) noexcept { return isa == Isa::amx ? Isa::avx512vnni : isa; }

bool permutes_bytes() noexcept { return supported(Isa::avx512vnni) && cpuinfo_has_x86_avx512vbmi(); }

Isa active_isa() {
  static const Isa active = find_active();
  return active;
}

}  // namespace qconv
