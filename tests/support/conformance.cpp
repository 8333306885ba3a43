#include "support/conformance.hpp"

#include <algorithm>

#include "engines/native/kernels/igemm/registry.hpp"
#include "engines/native/native.hpp"
#include "engines/native/pack_winograd.hpp"
#include "engines/reference/reference.hpp"

namespace qconv::testing {
namespace {

using Engines = std::vector<std::unique_ptr<const engines::Engine>>;

Engines native_engines(engines::KernelUse use) {
  Engines list;
  for (const Isa isa : list_isas()) {
    if (!supported(isa)) continue;
    if (use.tiles == engines::Use::always && engines::igemm::select_tiles(isa).empty()) continue;
    list.push_back(engines::make_native(isa, use));
  }
  return list;
}

// The first byte in which the two differ, in words; empty when they are equal.
std::string difference(const std::vector<std::uint8_t>& expected, const std::vector<std::uint8_t>& actual) {
  const auto [e, a] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
  if (e == expected.end()) return {};
  return "byte " + std::to_string(e - expected.begin()) + " is " + std::to_string(*a) + ", expected " +
         std::to_string(*e);
}

}  // namespace

Conformance compare_with_reference(const ConvCase& c) {
  using engines::Use;
  static const Engines general = native_engines({.winograd = Use::never});
  static const Engines tiles = native_engines({.winograd = Use::never, .tiles = Use::always});
  static const Engines winograd = native_engines({.winograd = Use::always});
  static const auto one = make_pool(1);
  static const auto three = make_pool(3);
  const auto expected = run_case(engines::reference(), c, *one);
  Conformance result;
  const auto compare = [&](const engines::Engine& engine) {
    const auto packed = pack_case(engine, c);
    result.kernels.push_back(engine.prepare(packed, c.problem, c.requantization)->kernel_name());
    for (const auto& pool : {one.get(), three.get()}) {
      if (!result.difference.empty()) return;
      result.difference = difference(expected, run_case(engine, c, *pool));
      if (!result.difference.empty()) {
        result.difference = result.kernels.back() + ", " + std::to_string(pool->num_threads()) +
                            " threads: " + result.difference;
      }
    }
  };
  for (const auto& engine : general) compare(*engine);
  for (const auto& engine : tiles) compare(*engine);
  if (engines::winograd_declines(c.problem.geometry, CaseWeights(c).view).empty()) {
    for (const auto& engine : winograd) compare(*engine);
  }
  return result;
}

}  // namespace qconv::testing
